import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.ArrayDeque;
import java.util.Deque;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.hdfs.MiniDFSCluster.DataNodeProperties;
import org.apache.log4j.Level;
import org.apache.log4j.Logger;

/**
 * An HDFS of one NameNode and three DataNodes on free ports of the loopback interface.
 *
 * <p>Arguments: a folder, then settings of Hadoop as key=value. It prints the addresses of HDFS and of WebHDFS in one
 * line, then obeys the commands on its standard input, answering each with a line, and ends when that closes.
 */
public class MiniHdfs {
    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        // Hadoop's own talk would come in between.
        System.setOut(new PrintStream(System.err));
        Logger.getRootLogger().setLevel(Level.ERROR);
        HdfsConfiguration settings = new HdfsConfiguration();
        settings.set("hadoop.tmp.dir", arguments[0] + "/tmp");
        settings.setBoolean("dfs.permissions.enabled", false);
        for (int i = 1; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            settings.set(pair[0], pair[1]);
        }
        MiniDFSCluster cluster =
                new MiniDFSCluster.Builder(settings, new File(arguments[0])).numDataNodes(3).build();
        try {
            cluster.waitActive();
            String webHdfs = cluster.getConfiguration(0).get("dfs.namenode.http-address");
            answers.println(cluster.getURI() + " webhdfs://" + webHdfs);
            obey(cluster, answers);
        } finally {
            // At once: a tidy shutdown takes seconds, and whoever started this removes the folder.
            Runtime.getRuntime().halt(0);
        }
    }

    private static void obey(MiniDFSCluster cluster, PrintStream answers) throws Exception {
        Deque<DataNodeProperties> killed = new ArrayDeque<>();
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.trim().split(" ");
            switch (words[0]) {
                case "kill" -> killed.push(cluster.stopDataNode(Integer.parseInt(words[1])));
                case "revive" -> {
                    while (!killed.isEmpty()) {
                        cluster.restartDataNode(killed.pop(), true);
                    }
                    cluster.waitActive();
                }
                case "stop-namenode" -> cluster.shutdownNameNode(0);
                case "start-namenode" -> cluster.restartNameNode(0, true);
                case "quit" -> {
                    return;
                }
                default -> throw new IllegalArgumentException(line);
            }
            answers.println("done " + line);
        }
    }
}
