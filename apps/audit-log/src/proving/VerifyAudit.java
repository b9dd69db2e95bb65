import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Verifies what `posthaste audit export` wrote, from RFC 9162 and C2SP's texts alone and in another language, so that a
 * mistake of ours is not confirmed by itself. Needs Java 17 and nothing else:
 *
 *   java VerifyAudit.java export.jsonl [head.json]
 *
 * Prints `sound <size> <root>` and ends with 0, or `broken <first bad sequence> <why>` and ends with 1; the sequence is
 * `-` when it is the checkpoint that is wrong. The tree is computed by the recursive definition, again at every size.
 */
public class VerifyAudit {
  static final byte[] SPKI = HexFormat.of().parseHex("302a300506032b6570032100");

  record Note(String origin, long size, byte[] root, byte[] head, List<byte[]> signatures) {}

  static class Broken extends Exception {
    Broken(Object sequence, String why) {
      super("broken " + sequence + " " + why);
    }
  }

  public static void main(String[] args) throws Exception {
    try {
      System.out.println(verify(args));
    } catch (Broken broken) {
      System.out.println(broken.getMessage());
      System.exit(1);
    }
  }

  static String verify(String[] args) throws Exception {
    List<Map<String, Object>> lines = new ArrayList<>();
    try (BufferedReader reader = Files.newBufferedReader(Path.of(args[0]))) {
      for (String line; (line = reader.readLine()) != null; ) lines.add(new Json(line).object());
    }
    Map<String, Object> first = lines.remove(0);
    Map<String, Object> saved = args.length > 1 ? new Json(Files.readString(Path.of(args[1]))).object() : null;
    Note checkpoint = noteOf((String) first.get("checkpoint"));
    Note head = saved == null ? null : noteOf((String) saved.get("checkpoint"));
    Map<String, PublicKey> keys = keysOf(checkpoint.origin, strings(first.get("public_keys")));
    Map<String, PublicKey> trusted = saved == null ? keys : keysOf(head.origin, strings(saved.get("public_keys")));
    byte[] marks = saved == null ? new byte[0] : Base64.getDecoder().decode((String) saved.get("marks"));

    List<byte[]> leaves = new ArrayList<>();
    for (Map<String, Object> line : lines) {
      int sequence = leaves.size();
      long named = ((Double) line.get("sequence")).longValue();
      if (named != sequence) throw new Broken(sequence, "another sequence follows: " + named);
      byte[] leaf = sha256(new byte[] {0}, ((String) line.get("canonical")).getBytes(StandardCharsets.UTF_8));
      if (!HexFormat.of().formatHex(leaf).equals(line.get("leaf_hash"))) throw new Broken(sequence, "other hash");
      if (head != null && sequence < head.size) {
        byte[] mark = Arrays.copyOfRange(marks, 4 * sequence, 4 * sequence + 4);
        if (!Arrays.equals(mark, Arrays.copyOf(leaf, 4))) throw new Broken(sequence, "other than saved");
      }
      leaves.add(leaf);
      byte[] root = root(leaves, 0, leaves.size());
      byte[] text = headText(checkpoint.origin, leaves.size(), root);
      byte[] signature = Base64.getDecoder().decode((String) line.get("signature"));
      if (!isSigned(text, List.of(signature), keys)) throw new Broken(sequence, "not what was signed");
      if (head != null && head.size == leaves.size() && !Arrays.equals(head.root, root)) {
        throw new Broken(sequence, "other root than saved");
      }
    }
    if (head != null && leaves.size() < head.size) throw new Broken(leaves.size(), "missing: it was saved");
    if (leaves.size() < checkpoint.size) throw new Broken(leaves.size(), "missing: it was signed");
    if (leaves.size() > checkpoint.size) throw new Broken(checkpoint.size, "not signed");
    byte[] root = root(leaves, 0, leaves.size());
    if (!Arrays.equals(root, checkpoint.root)) throw new Broken("-", "the checkpoint is of other entries");
    if (!isSigned(checkpoint.head, checkpoint.signatures, trusted)) throw new Broken("-", "the checkpoint is not signed");
    return "sound " + leaves.size() + " " + HexFormat.of().formatHex(root);
  }

  /** RFC 9162, 2.1.1. */
  static byte[] root(List<byte[]> leaves, int start, int end) throws Exception {
    if (start == end) return sha256();
    if (end - start == 1) return leaves.get(start);
    int split = Integer.highestOneBit(end - start - 1);
    return sha256(new byte[] {1}, root(leaves, start, start + split), root(leaves, start + split, end));
  }

  static byte[] headText(String origin, long size, byte[] root) {
    String text = origin + "\n" + size + "\n" + Base64.getEncoder().encodeToString(root) + "\n";
    return text.getBytes(StandardCharsets.UTF_8);
  }

  /** C2SP signed-note around a tlog-checkpoint. */
  static Note noteOf(String text) throws Broken {
    int gap = text.indexOf("\n\n");
    String[] lines = gap < 0 ? new String[0] : text.substring(0, gap).split("\n");
    if (lines.length != 3) throw new Broken("-", "no checkpoint");
    List<byte[]> signatures = new ArrayList<>();
    for (String line : text.substring(gap + 2).split("\n")) {
      String[] parts = line.split(" ");
      if (parts.length == 3 && parts[0].equals("\u2014") && parts[1].equals(lines[0])) {
        signatures.add(Base64.getDecoder().decode(parts[2]));
      }
    }
    byte[] head = text.substring(0, gap + 1).getBytes(StandardCharsets.UTF_8);
    return new Note(lines[0], Long.parseLong(lines[1]), Base64.getDecoder().decode(lines[2]), head, signatures);
  }

  /** Keys by their ids, of those that are this origin's: name+id+base64(1, key). */
  static Map<String, PublicKey> keysOf(String origin, List<String> texts) throws Exception {
    Map<String, PublicKey> keys = new HashMap<>();
    for (String text : texts) {
      String[] parts = text.split("\\+", 3);
      byte[] encoded = Base64.getDecoder().decode(parts[2]);
      byte[] id = Arrays.copyOf(sha256((origin + "\n").getBytes(StandardCharsets.UTF_8), encoded), 4);
      String hex = HexFormat.of().formatHex(id);
      if (!parts[0].equals(origin) || !parts[1].equals(hex) || encoded[0] != 1) throw new Broken("-", "not its key");
      byte[] key = Arrays.copyOfRange(encoded, 1, encoded.length);
      X509EncodedKeySpec spec = new X509EncodedKeySpec(concat(SPKI, key));
      keys.put(hex, KeyFactory.getInstance("Ed25519").generatePublic(spec));
    }
    return keys;
  }

  static boolean isSigned(byte[] text, List<byte[]> signatures, Map<String, PublicKey> keys) throws Exception {
    for (byte[] bytes : signatures) {
      PublicKey key = keys.get(HexFormat.of().formatHex(Arrays.copyOf(bytes, 4)));
      if (key == null || bytes.length != 68) continue;
      Signature signature = Signature.getInstance("Ed25519");
      signature.initVerify(key);
      signature.update(text);
      if (signature.verify(Arrays.copyOfRange(bytes, 4, bytes.length))) return true;
    }
    return false;
  }

  static byte[] sha256(byte[]... parts) throws Exception {
    return MessageDigest.getInstance("SHA-256").digest(concat(parts));
  }

  static byte[] concat(byte[]... parts) {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    for (byte[] part : parts) all.writeBytes(part);
    return all.toByteArray();
  }

  static List<String> strings(Object list) {
    List<String> texts = new ArrayList<>();
    for (Object text : (List<?>) list) texts.add((String) text);
    return texts;
  }

  /** As much of a JSON reader as is needed: Java has none. */
  static class Json {
    final String text;
    int at = 0;

    Json(String text) {
      this.text = text;
    }

    @SuppressWarnings("unchecked")
    Map<String, Object> object() {
      return (Map<String, Object>) value();
    }

    Object value() {
      char next = peek();
      if (next == '{') {
        Map<String, Object> members = new LinkedHashMap<>();
        for (at++; peek() != '}'; skip(',')) {
          String name = string();
          skip(':');
          members.put(name, value());
        }
        at++;
        return members;
      }
      if (next == '[') {
        List<Object> items = new ArrayList<>();
        for (at++; peek() != ']'; skip(',')) items.add(value());
        at++;
        return items;
      }
      if (next == '"') return string();
      int start = at;
      while (at < text.length() && ",]} \n".indexOf(text.charAt(at)) < 0) at++;
      String word = text.substring(start, at);
      return word.equals("null") ? null : word.matches("true|false") ? Boolean.valueOf(word) : Double.valueOf(word);
    }

    String string() {
      StringBuilder out = new StringBuilder();
      peek();
      for (at++; text.charAt(at) != '"'; at++) {
        char c = text.charAt(at);
        if (c != '\\') {
          out.append(c);
          continue;
        }
        char escape = text.charAt(++at);
        int known = "bfnrt".indexOf(escape);
        if (escape == 'u') {
          out.append((char) Integer.parseInt(text.substring(at + 1, at + 5), 16));
          at += 4;
        } else out.append(known < 0 ? escape : "\b\f\n\r\t".charAt(known));
      }
      at++;
      return out.toString();
    }

    char peek() {
      while (Character.isWhitespace(text.charAt(at))) at++;
      return text.charAt(at);
    }

    void skip(char separator) {
      if (peek() == separator) at++;
    }
  }
}
