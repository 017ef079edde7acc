import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeSet;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.config.types.Password;
import org.apache.kafka.common.errors.InvalidMetadataException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.security.JaasContext;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.slf4j.Logger;
import org.slf4j.helpers.NOPLogger;

/**
 * Kafka's own classes as a judge: one request a line on standard input, one answer a line on standard output.
 *
 *   encode NAME VERSION JSON   the bytes of a message, as hex
 *   decode NAME VERSION HEX    the message as Kafka's JSON, and how many bytes remain
 *   recode NAME VERSION HEX    the message read and written again, as hex
 *   batch HEX                  the batches and records of a records field
 *   write MAGIC CODEC JSON     a records field that Kafka builds, as hex
 *   errors, apikeys            Kafka's tables
 *   settings                   the names of the producer's settings
 *   config HEX                 what a producer makes of settings, given as JSON in UTF-8
 *   jaas HEX                   the login module of a sasl.jaas.config in UTF-8, and its options
 *
 * What fails is answered by "error CLASS: MESSAGE" and ends nothing.
 */
public class KafkaJudge {
    static final ObjectMapper JSON = new ObjectMapper();
    static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        // The platform's charset may be ASCII; what else prints must not get between the answers.
        PrintStream answers = new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
        System.setOut(System.err);
        for (String line; (line = lines.readLine()) != null; ) {
            String answer;
            try {
                answer = answer(line.split(" ", 4));
            } catch (Throwable problem) {
                Throwable cause = problem.getCause() != null ? problem.getCause() : problem;
                answer = "error " + cause.getClass().getSimpleName() + ": " + String.valueOf(cause.getMessage()).replaceAll("[\\r\\n]", " ");
            }
            answers.print(answer + "\n");
            answers.flush();
        }
    }

    static String answer(String[] words) throws Exception {
        switch (words[0]) {
            case "encode": return encode(words[1], Short.parseShort(words[2]), JSON.readTree(words[3]));
            case "decode": return decode(words[1], Short.parseShort(words[2]), words.length > 3 ? words[3] : "");
            case "recode": return recode(words[1], Short.parseShort(words[2]), words.length > 3 ? words[3] : "");
            case "batch": return batch(words.length > 1 ? words[1] : "");
            case "write": return write(Byte.parseByte(words[1]), words[2], JSON.readTree(words[3]));
            case "errors": return errors();
            case "apikeys": return apiKeys();
            case "settings": return JSON.writeValueAsString(new TreeSet<>(ProducerConfig.configNames()));
            case "config": return config(JSON.readTree(HEX.parseHex(words[1])));
            case "jaas": return jaas(words.length > 1 ? new String(HEX.parseHex(words[1]), StandardCharsets.UTF_8) : "");
            default: throw new IllegalArgumentException("no such request: " + words[0]);
        }
    }

    static Class<?> converter(String name) throws Exception {
        return Class.forName("org.apache.kafka.common.message." + name + "DataJsonConverter");
    }

    static String encode(String name, short version, JsonNode json) throws Exception {
        return hex((Message) converter(name).getMethod("read", JsonNode.class, short.class).invoke(null, json, version), version);
    }

    static String hex(Message message, short version) {
        ByteBuffer bytes = MessageUtil.toByteBufferAccessor((ApiMessage) message, version).buffer();
        byte[] data = new byte[bytes.remaining()];
        bytes.get(data);
        return HEX.formatHex(data);
    }

    static String decode(String name, short version, String hex) throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(HEX.parseHex(hex));
        Message message = read(name, version, bytes);
        JsonNode json = (JsonNode) converter(name)
            .getMethod("write", message.getClass(), short.class, boolean.class)
            .invoke(null, message, version, true);
        ObjectNode answer = JSON.createObjectNode();
        answer.set("message", json);
        answer.put("remaining", bytes.remaining());
        return JSON.writeValueAsString(answer);
    }

    static String recode(String name, short version, String hex) throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(HEX.parseHex(hex));
        Message message = read(name, version, bytes);
        if (bytes.hasRemaining())
            throw new IllegalArgumentException(bytes.remaining() + " bytes remain");
        return hex(message, version);
    }

    static Message read(String name, short version, ByteBuffer bytes) throws Exception {
        Class<?> type = Class.forName("org.apache.kafka.common.message." + name + "Data");
        Message message = (Message) type.getConstructor().newInstance();
        message.read(new ByteBufferAccessor(bytes), version);
        return message;
    }

    static String batch(String hex) throws Exception {
        ArrayNode batches = JSON.createArrayNode();
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(HEX.parseHex(hex))).batches()) {
            batch.ensureValid();
            ObjectNode node = batches.addObject();
            node.put("base_offset", batch.baseOffset());
            node.put("last_offset", batch.lastOffset());
            node.put("size", batch.sizeInBytes());
            node.put("partition_leader_epoch", batch.partitionLeaderEpoch());
            node.put("magic", batch.magic());
            node.put("crc", batch.magic() < RecordBatch.MAGIC_VALUE_V2 ? null : Long.valueOf(batch.checksum()));
            node.put("timestamp_type", batch.timestampType().name);
            node.put("control", batch.isControlBatch());
            node.put("delete_horizon", batch.deleteHorizonMs().isPresent() ? batch.deleteHorizonMs().getAsLong() : null);
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

    static String write(byte magic, String codec, JsonNode batch) {
        JsonNode appended = batch.get("log_append_time");
        MemoryRecordsBuilder builder = MemoryRecords.builder(
            ByteBuffer.allocate(512), magic, Compression.of(codec).build(),
            appended.isNull() ? TimestampType.CREATE_TIME : TimestampType.LOG_APPEND_TIME,
            batch.get("base_offset").asLong(), appended.isNull() ? RecordBatch.NO_TIMESTAMP : appended.asLong(),
            batch.get("producer_id").asLong(), (short) batch.get("producer_epoch").asInt(),
            batch.get("base_sequence").asInt(), batch.get("transactional").asBoolean(),
            batch.get("partition_leader_epoch").asInt());
        for (JsonNode row : batch.get("records")) {
            Header[] headers = new Header[row.get(4).size()];
            for (int i = 0; i < headers.length; i++)
                headers[i] = new RecordHeader(row.get(4).get(i).get(0).asText(), bytes(row.get(4).get(i).get(1)));
            builder.appendWithOffset(row.get(0).asLong(), row.get(1).asLong(), bytes(row.get(2)), bytes(row.get(3)), headers);
        }
        ByteBuffer buffer = builder.build().buffer();
        byte[] data = new byte[buffer.remaining()];
        buffer.get(data);
        return HEX.formatHex(data);
    }

    static byte[] bytes(JsonNode hex) {
        return hex.isNull() ? null : HEX.parseHex(hex.asText());
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

    static String config(JsonNode settings) throws Exception {
        Map<String, Object> properties = new HashMap<>();
        properties.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, "localhost:9092");
        properties.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class);
        properties.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class);
        settings.fields().forEachRemaining(field -> properties.put(field.getKey(), field.getValue().asText()));
        ProducerConfig config = new ProducerConfig(properties);
        Method deliveryTimeout = KafkaProducer.class.getDeclaredMethod("configureDeliveryTimeout", ProducerConfig.class, Logger.class);
        deliveryTimeout.setAccessible(true);
        ObjectNode answer = JSON.createObjectNode();
        config.values().forEach((name, value) -> answer.put(name, value == null ? null : value.toString()));
        answer.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, deliveryTimeout.invoke(null, config, NOPLogger.NOP_LOGGER).toString());
        return JSON.writeValueAsString(answer);
    }

    static String jaas(String text) throws Exception {
        AppConfigurationEntry entry = JaasContext.loadClientContext(Map.of("sasl.jaas.config", new Password(text))).configurationEntries().get(0);
        ObjectNode answer = JSON.createObjectNode();
        answer.put("module", entry.getLoginModuleName());
        answer.set("options", JSON.valueToTree(entry.getOptions()));
        return JSON.writeValueAsString(answer);
    }
}
