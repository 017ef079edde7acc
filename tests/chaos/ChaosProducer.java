import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Kafka's own producer, told line by line what to send: "ID PARTITION VALUE", then "close".
 *
 * Answers, in the order in which things happen: "ready"; "acked ID OFFSET"; "failed ID ERROR"; "refused ID ERROR" for a
 * record that send() did not accept; "closed" at the end. Arguments: topic, then NAME=VALUE of the configuration.
 */
public class ChaosProducer {
    static final PrintStream ANSWERS =
            new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.US_ASCII);

    public static void main(String[] arguments) throws Exception {
        System.setOut(System.err);
        Properties properties = new Properties();
        for (int i = 1; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            properties.put(pair[0], pair[1]);
        }
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        var bytes = new ByteArraySerializer();
        var producer = new KafkaProducer<byte[], byte[]>(properties, bytes, bytes);
        say("ready");
        for (String line; (line = lines.readLine()) != null && !line.equals("close"); ) {
            send(producer, arguments[0], line.split(" ", 3));
        }
        producer.close(Duration.ofSeconds(5));
        say("closed");
    }

    static void send(KafkaProducer<byte[], byte[]> producer, String topic, String[] words) {
        byte[] value = words[2].getBytes(StandardCharsets.US_ASCII);
        var record = new ProducerRecord<byte[], byte[]>(topic, Integer.valueOf(words[1]), null, value);
        Thread caller = Thread.currentThread();
        try {
            producer.send(record, (metadata, error) -> {
                if (error == null) {
                    say("acked " + words[0] + " " + metadata.offset());
                } else {
                    // On the caller's thread, send() itself reports that it did not accept the record.
                    String verb = Thread.currentThread() == caller ? "refused " : "failed ";
                    say(verb + words[0] + " " + error.getClass().getSimpleName());
                }
            });
        } catch (RuntimeException error) {
            say("refused " + words[0] + " " + error.getClass().getSimpleName());
        }
    }

    static synchronized void say(String line) {
        ANSWERS.print(line + "\n");
        ANSWERS.flush();
    }
}
