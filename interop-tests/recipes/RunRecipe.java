import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.util.JSONObjectUtils;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Map;

/** Opens each of the messages on stdin by the recipe of docs/FORMAT.md, which is the class Envelopes. */
final class RunRecipe {
  public static void main(String[] args) throws Exception {
    var task = JSONObjectUtils.parse(new String(System.in.readAllBytes(), StandardCharsets.UTF_8));
    var key = ECKey.parse(JSONObjectUtils.getJSONObject(task, "jwk"));
    var results = new ArrayList<Map<String, Object>>();
    for (var message : JSONObjectUtils.getJSONObjectArray(task, "messages")) {
      var recordKey = (String) message.get("recordKey");
      try {
        var plaintext = Envelopes.open((String) message.get("envelope"), key, (String) message.get("channel"), recordKey == null ? null : recordKey.getBytes(StandardCharsets.UTF_8));
        results.add(Map.of("bytes", plaintext.length));
      } catch (Exception error) {
        results.add(Map.of("error", String.valueOf(error.getMessage())));
      }
    }
    System.out.println(JSONObjectUtils.toJSONString(Map.of("results", results)));
  }
}
