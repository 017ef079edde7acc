import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.kafka.common.errors.InvalidMetadataException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;

/**
 * Kafka's own classes as a judge: one request a line on standard input, one answer a line on standard output.
 *
 *   encode NAME VERSION JSON   the bytes of a message, as hex
 *   decode NAME VERSION HEX    the message as Kafka's JSON, and whether bytes remain
 *   batch HEX                  the batches and records of a records field
 *   errors, apikeys            Kafka's tables
 */
public class KafkaJudge {
    static final ObjectMapper JSON = new ObjectMapper();
    static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            String answer;
            try {
                answer = answer(line.split(" ", 4));
            } catch (Throwable problem) {
                Throwable cause = problem.getCause() != null ? problem.getCause() : problem;
                answer = "error " + cause.getClass().getSimpleName() + ": " + String.valueOf(cause.getMessage()).replace('\n', ' ');
            }
            System.out.println(answer);
            System.out.flush();
        }
    }

    static String answer(String[] words) throws Exception {
        switch (words[0]) {
            case "encode": return encode(words[1], Short.parseShort(words[2]), JSON.readTree(words[3]));
            case "decode": return decode(words[1], Short.parseShort(words[2]), words.length > 3 ? words[3] : "");
            case "batch": return batch(words[1]);
            case "errors": return errors();
            case "apikeys": return apiKeys();
            default: throw new IllegalArgumentException("no such request: " + words[0]);
        }
    }

    static Class<?> converter(String name) throws Exception {
        return Class.forName("org.apache.kafka.common.message." + name + "DataJsonConverter");
    }

    static String encode(String name, short version, JsonNode json) throws Exception {
        Message message = (Message) converter(name).getMethod("read", JsonNode.class, short.class).invoke(null, json, version);
        ByteBuffer bytes = MessageUtil.toByteBufferAccessor((ApiMessage) message, version).buffer();
        byte[] data = new byte[bytes.remaining()];
        bytes.get(data);
        return HEX.formatHex(data);
    }

    static String decode(String name, short version, String hex) throws Exception {
        Class<?> type = Class.forName("org.apache.kafka.common.message." + name + "Data");
        Message message = (Message) type.getConstructor().newInstance();
        ByteBuffer bytes = ByteBuffer.wrap(HEX.parseHex(hex));
        message.read(new ByteBufferAccessor(bytes), version);
        JsonNode json = (JsonNode) converter(name)
            .getMethod("write", type, short.class, boolean.class)
            .invoke(null, message, version, true);
        ObjectNode answer = JSON.createObjectNode();
        answer.set("message", json);
        answer.put("remaining", bytes.remaining());
        return JSON.writeValueAsString(answer);
    }

    static String batch(String hex) throws Exception {
        ArrayNode batches = JSON.createArrayNode();
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(HEX.parseHex(hex))).batches()) {
            batch.ensureValid();
            ObjectNode node = batches.addObject();
            node.put("producer_id", batch.producerId());
            node.put("producer_epoch", batch.producerEpoch());
            node.put("base_sequence", batch.baseSequence());
            node.put("transactional", batch.isTransactional());
            node.put("compression", batch.compressionType().name);
            node.put("max_timestamp", batch.maxTimestamp());
            ArrayNode records = node.putArray("records");
            for (Record record : batch) {
                ArrayNode row = records.addArray();
                row.add(record.offset()).add(record.timestamp());
                add(row, record.key());
                add(row, record.value());
                ArrayNode headers = row.addArray();
                for (Header header : record.headers()) {
                    ArrayNode pair = headers.addArray().add(header.key());
                    add(pair, header.value() == null ? null : ByteBuffer.wrap(header.value()));
                }
            }
        }
        return JSON.writeValueAsString(batches);
    }

    static void add(ArrayNode row, ByteBuffer bytes) {
        if (bytes == null) {
            row.addNull();
            return;
        }
        byte[] data = new byte[bytes.remaining()];
        bytes.get(data);
        row.add(HEX.formatHex(data));
    }

    static String errors() throws Exception {
        ArrayNode rows = JSON.createArrayNode();
        for (Errors error : Errors.values()) {
            rows.addArray()
                .add(error.code())
                .add(error.name())
                .add(error.exception() instanceof RetriableException)
                .add(error.exception() instanceof InvalidMetadataException);
        }
        return JSON.writeValueAsString(rows);
    }

    static String apiKeys() throws Exception {
        ArrayNode rows = JSON.createArrayNode();
        for (ApiKeys key : ApiKeys.values()) {
            ArrayNode row = rows.addArray().add(key.id).add(key.name()).add(key.name);
            short first = key.messageType.lowestSupportedVersion();
            short last = key.messageType.highestSupportedVersion(true);
            row.add(first).add(last);
            ArrayNode headers = row.addArray();
            for (short version = first; version <= last; version++)
                headers.addArray().add(key.requestHeaderVersion(version)).add(key.responseHeaderVersion(version));
        }
        return JSON.writeValueAsString(rows);
    }
}
