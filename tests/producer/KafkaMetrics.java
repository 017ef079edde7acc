import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.time.Duration;
import java.util.Collection;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.internals.SenderMetricsRegistry;
import org.apache.kafka.common.metrics.MeasurableStat;
import org.apache.kafka.common.metrics.MetricConfig;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.metrics.stats.Avg;
import org.apache.kafka.common.metrics.stats.CumulativeSum;
import org.apache.kafka.common.metrics.stats.Max;
import org.apache.kafka.common.metrics.stats.Rate;
import org.apache.kafka.common.metrics.stats.WindowedCount;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's metrics, asked one JSON object a line; one array a line answers.
 *
 *   {}                                               [name, group, tags] of each metric that a producer has
 *   {"window_ms", "samples", "events": [[ms, value]], "now_ms"}
 *                                                    [rate, rate of the count, share of ns, avg, max, total] as text
 *
 * Each question about events is answered by new stats: reading Kafka's changes them.
 */
public class KafkaMetrics {
    static final ObjectMapper JSON = new ObjectMapper();
    static final int TIMEOUT_MS = 30_000;

    public static void main(String[] args) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            JsonNode asked = JSON.readTree(line);
            ArrayNode answer = JSON.createArrayNode();
            if (asked.has("events")) measure(asked, answer);
            else names(answer);
            System.out.println(JSON.writeValueAsString(answer));
        }
    }

    static void measure(JsonNode asked, ArrayNode answer) {
        MetricConfig config = new MetricConfig()
            .timeWindow(asked.get("window_ms").asLong(), TimeUnit.MILLISECONDS)
            .samples(asked.get("samples").asInt());
        MeasurableStat[] stats = {
            new Rate(), new Rate(new WindowedCount()), new Rate(TimeUnit.NANOSECONDS), new Avg(), new Max(), new CumulativeSum()
        };
        for (MeasurableStat stat : stats) {
            for (JsonNode event : asked.get("events"))
                stat.record(config, event.get(1).asDouble(), event.get(0).asLong());
            answer.add(Double.toString(stat.measure(config, asked.get("now_ms").asLong())));
        }
    }

    /** The names of a topic come from the templates; those of a node exist once it is connected. */
    static void names(ArrayNode answer) throws Exception {
        SenderMetricsRegistry registry = new SenderMetricsRegistry(new Metrics(new MetricConfig().tags(Map.of("client-id", "kproto"))));
        registry.allTemplates().forEach(template -> add(answer, template.name(), template.group(), template.tags()));
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            server.setSoTimeout(TIMEOUT_MS);
            Map<String, Object> settings = Map.of("client.id", "kproto", "bootstrap.servers", "127.0.0.1:" + server.getLocalPort());
            KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
            Socket broker = server.accept();
            broker.setSoTimeout(TIMEOUT_MS);
            broker.getInputStream().read(); // the metrics of the node are complete before it is asked anything
            producer.metrics().keySet().forEach(name -> add(answer, name.name(), name.group(), name.tags().keySet()));
            broker.close(); // or the producer waits for its answers before it closes
            server.close();
            producer.close(Duration.ZERO);
        }
    }

    static void add(ArrayNode answer, String name, String group, Collection<String> tags) {
        answer.addArray().add(name).add(group).add(String.join(" ", new TreeSet<>(tags)));
    }
}
