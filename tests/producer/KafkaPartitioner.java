package org.apache.kafka.clients.producer.internals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import org.apache.kafka.clients.producer.RoundRobinPartitioner;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.common.utils.internals.LogContext;

/**
 * Kafka's partitioners, asked one JSON object a line; one array a line answers.
 *
 *   {"keys": [hex], "count": n}                                  [[murmur2, partition of n]]
 *   {"round_robin": [partitions of each record]}                 the partition of each record
 *   {"batch_size", "rack", "draws": [int], "steps": [step]}      the current partition after each step
 *
 * A partition is [leader's rack, or false for no leader]; its number is its place. A step is
 * ["cluster", [partition]], ["produced", bytes, all full], or ["load", [queue length], [partition], [rack], count of
 * partitions] or ["load"]. It stands in the package of BuiltInPartitioner, whose draws it replaces.
 */
public class KafkaPartitioner extends BuiltInPartitioner {
    static final ObjectMapper JSON = new ObjectMapper();
    static final String TOPIC = "orders";
    private final Iterator<JsonNode> draws;

    KafkaPartitioner(int batchSize, String rack, Iterator<JsonNode> draws) {
        super(new LogContext(), TOPIC, batchSize, !rack.isEmpty(), rack);
        this.draws = draws;
    }

    @Override
    int randomPartition() {
        return draws.next().asInt();
    }

    public static void main(String[] args) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            JsonNode asked = JSON.readTree(line);
            ArrayNode answer = JSON.createArrayNode();
            if (asked.has("keys")) hashes(asked, answer);
            else if (asked.has("round_robin")) roundRobin(asked.get("round_robin"), answer);
            else sticky(asked, answer);
            System.out.println(JSON.writeValueAsString(answer));
        }
    }

    static void hashes(JsonNode asked, ArrayNode answer) {
        for (JsonNode hex : asked.get("keys")) {
            byte[] key = HexFormat.of().parseHex(hex.asText());
            answer.addArray().add(Utils.murmur2(key)).add(partitionForKey(key, asked.get("count").asInt()));
        }
    }

    static void roundRobin(JsonNode records, ArrayNode answer) {
        RoundRobinPartitioner partitioner = new RoundRobinPartitioner();
        for (JsonNode partitions : records)
            answer.add(partitioner.partition(TOPIC, null, null, null, null, cluster(partitions)));
    }

    static void sticky(JsonNode asked, ArrayNode answer) {
        KafkaPartitioner partitioner = new KafkaPartitioner(
            asked.get("batch_size").asInt(), asked.get("rack").asText(), asked.get("draws").iterator());
        Cluster cluster = null;
        for (JsonNode step : asked.get("steps")) {
            switch (step.get(0).asText()) {
                case "cluster":
                    cluster = cluster(step.get(1));
                    break;
                case "produced":
                    partitioner.updatePartitionInfo(
                        partitioner.peekCurrentPartitionInfo(cluster), step.get(1).asInt(), cluster, step.get(2).asBoolean());
                    break;
                default:
                    partitioner.load(step);
            }
            answer.add(partitioner.peekCurrentPartitionInfo(cluster).partition());
        }
    }

    void load(JsonNode step) {
        if (step.size() == 1) {
            updatePartitionLoadStats(null, null, null, 0);
            return;
        }
        int length = step.get(1).size();
        int all = step.get(4).asInt();
        int[] queues = new int[all];
        int[] partitions = new int[all];
        String[] racks = new String[all];
        for (int i = 0; i < length; i++) {
            queues[i] = step.get(1).get(i).asInt();
            partitions[i] = step.get(2).get(i).asInt();
            racks[i] = step.get(3).get(i).asText();
        }
        updatePartitionLoadStats(queues, partitions, racks, length);
    }

    static Cluster cluster(JsonNode partitions) {
        List<Node> nodes = new ArrayList<>();
        List<PartitionInfo> infos = new ArrayList<>();
        for (JsonNode rack : partitions) {
            Node leader = new Node(infos.size(), "broker", 9092, rack.asText());
            if (rack.isTextual()) nodes.add(leader);
            infos.add(new PartitionInfo(TOPIC, infos.size(), rack.isTextual() ? leader : null, new Node[0], new Node[0]));
        }
        return new Cluster("cluster", nodes, infos, Set.of(), Set.of());
    }
}
