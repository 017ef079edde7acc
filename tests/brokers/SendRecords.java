import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's own producer: sends what standard input says, and prints the offset of each record, one a line.
 *
 * A line is {"settings": {...}}, at which a new producer begins, or a record: {"topic", "partition", "timestamp",
 * "key", "value", "headers": [[name, value], ...]}, bytes as hex or null.
 */
public class SendRecords {
    static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        ObjectMapper json = new ObjectMapper();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        KafkaProducer<byte[], byte[]> producer = null;
        for (String line; (line = lines.readLine()) != null; ) {
            JsonNode node = json.readTree(line);
            if (node.has("settings")) {
                if (producer != null) {
                    producer.close();
                }
                Properties settings = new Properties();
                node.get("settings").properties().forEach(each -> settings.put(each.getKey(), each.getValue().asText()));
                producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
                continue;
            }
            ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(
                node.get("topic").asText(), node.get("partition").asInt(), node.get("timestamp").asLong(),
                bytes(node.get("key")), bytes(node.get("value")));
            node.get("headers").forEach(each -> record.headers().add(each.get(0).asText(), bytes(each.get(1))));
            sent.add(producer.send(record));
        }
        producer.close();
        for (Future<RecordMetadata> each : sent) {
            System.out.println(each.get().offset());
        }
    }

    static byte[] bytes(JsonNode node) {
        return node.isNull() ? null : HEX.parseHex(node.asText());
    }
}
