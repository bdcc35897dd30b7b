import com.nimbusds.jose.EncryptionMethod;
import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWEDecrypter;
import com.nimbusds.jose.JWEEncrypter;
import com.nimbusds.jose.JWEHeader;
import com.nimbusds.jose.JWEObject;
import com.nimbusds.jose.JWEObjectJSON;
import com.nimbusds.jose.Payload;
import com.nimbusds.jose.crypto.ECDHDecrypter;
import com.nimbusds.jose.crypto.ECDHEncrypter;
import com.nimbusds.jose.crypto.MultiDecrypter;
import com.nimbusds.jose.crypto.MultiEncrypter;
import com.nimbusds.jose.crypto.RSADecrypter;
import com.nimbusds.jose.crypto.RSAEncrypter;
import com.nimbusds.jose.crypto.X25519Decrypter;
import com.nimbusds.jose.crypto.X25519Encrypter;
import com.nimbusds.jose.crypto.impl.AESKW;
import com.nimbusds.jose.crypto.impl.ConcatKDF;
import com.nimbusds.jose.crypto.impl.ContentCryptoProvider;
import com.nimbusds.jose.crypto.impl.ECDH;
import com.nimbusds.jose.crypto.impl.RSA_OAEP_SHA2;
import com.nimbusds.jose.crypto.opts.CipherMode;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.jwk.JWK;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.OctetKeyPair;
import com.nimbusds.jose.jwk.RSAKey;
import com.nimbusds.jose.util.Base64URL;
import com.nimbusds.jose.util.JSONObjectUtils;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;

/** Nimbus JOSE+JWT behind lines of JSON: seals and opens by the recipe of docs/FORMAT.md. */
public final class NimbusPeer {
  private static final int LONGEST_LINE = 64 * 1024 * 1024;

  public static void main(String[] args) throws Exception {
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      out.println(JSONObjectUtils.toJSONString(answer(JSONObjectUtils.parse(line, LONGEST_LINE))));
    }
  }

  private static Map<String, Object> answer(Map<String, Object> task) {
    try {
      return "seal".equals(task.get("task")) ? Map.of("jwe", seal(task)) : open(task);
    } catch (Exception error) {
      return Map.of("error", String.valueOf(error));
    }
  }

  // --- opening ---

  private static Map<String, Object> open(Map<String, Object> task) throws Exception {
    var text = JSONObjectUtils.getString(task, "jwe");
    var key = JWK.parse(JSONObjectUtils.getJSONObject(task, "jwk"));
    JWEHeader header;
    byte[] plaintext;
    SecretKey contentKey;
    if (text.startsWith("{")) {
      var jwe = JWEObjectJSON.parse(text);
      jwe.decrypt(new MultiDecrypter(key));
      header = jwe.getHeader();
      plaintext = jwe.getPayload().toBytes();
      contentKey = contentKey(jwe, key);
    } else {
      var jwe = JWEObject.parse(text);
      jwe.decrypt(decrypter(key));
      header = jwe.getHeader();
      plaintext = jwe.getPayload().toBytes();
      contentKey = unwrap(header, jwe.getEncryptedKey(), key);
    }
    var answer = new HashMap<String, Object>();
    answer.put("plaintext", Base64URL.encode(plaintext).toString());
    answer.put("header", header.toJSONObject());
    var expected = commitment(contentKey, header.getEncryptionMethod()).toString();
    var found = String.valueOf(header.getCustomParam("kc"));
    answer.put("committed", MessageDigest.isEqual(expected.getBytes(StandardCharsets.UTF_8), found.getBytes(StandardCharsets.UTF_8)));
    return answer;
  }

  private static JWEDecrypter decrypter(JWK key) throws JOSEException {
    if (key instanceof RSAKey rsa) return new RSADecrypter(rsa);
    return key instanceof OctetKeyPair pair ? new X25519Decrypter(pair) : new ECDHDecrypter(key.toECKey());
  }

  /** The decrypters keep the content key to themselves, so that `kc` takes an unwrapping of its own. */
  private static SecretKey contentKey(JWEObjectJSON jwe, JWK key) throws Exception {
    var recipients = jwe.getRecipients();
    for (var recipient : recipients) {
      var own = recipient.getUnprotectedHeader();
      if (recipients.size() > 1 && !key.getKeyID().equals(own.getKeyID())) continue;
      var joined = new HashMap<>(jwe.getHeader().toJSONObject());
      if (own != null) joined.putAll(own.toJSONObject());
      return unwrap(JWEHeader.parse(joined), recipient.getEncryptedKey(), key);
    }
    throw new JOSEException("no entry for this key");
  }

  private static SecretKey unwrap(JWEHeader header, Base64URL encryptedKey, JWK key) throws Exception {
    if (key instanceof RSAKey rsa) {
      return RSA_OAEP_SHA2.decryptCEK(rsa.toPrivateKey(), encryptedKey.decode(), 256, CipherMode.WRAP_UNWRAP, null);
    }
    var secret = key instanceof OctetKeyPair pair
        ? ECDH.deriveSharedSecret((OctetKeyPair) header.getEphemeralPublicKey(), pair)
        : ECDH.deriveSharedSecret(((ECKey) header.getEphemeralPublicKey()).toECPublicKey(), key.toECKey().toECPrivateKey(), null);
    var wrapping = ECDH.deriveSharedKey(header, secret, new ConcatKDF("SHA-256"));
    return AESKW.unwrapCEK(wrapping, encryptedKey.decode(), null);
  }

  private static Base64URL commitment(SecretKey contentKey, EncryptionMethod enc) throws Exception {
    var mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(contentKey.getEncoded(), "HmacSHA256"));
    return Base64URL.encode(mac.doFinal(("sealbus/1 kc " + enc.getName()).getBytes(StandardCharsets.US_ASCII)));
  }

  // --- sealing ---

  private static String seal(Map<String, Object> task) throws Exception {
    var enc = EncryptionMethod.parse(JSONObjectUtils.getString(task, "enc"));
    var contentKey = ContentCryptoProvider.generateCEK(enc, new SecureRandom());
    var members = new HashMap<>(JSONObjectUtils.getJSONObject(task, "header"));
    var recipients = recipients(task, members);
    var first = recipients.get(0);
    members.put("enc", enc.getName());
    if (Boolean.TRUE.equals(task.get("commit"))) members.put("kc", commitment(contentKey, enc).toString());
    var form = JSONObjectUtils.getString(task, "form");
    var payload = new Payload(new Base64URL(JSONObjectUtils.getString(task, "plaintext")));
    if (recipients.size() > 1) {
      // MultiEncrypter writes `alg` and `kid` into each recipient's header, so that they must not stand in the protected one.
      var jwe = new JWEObjectJSON(JWEHeader.parse(members), payload);
      jwe.encrypt(new MultiEncrypter(new JWKSet(recipients), contentKey));
      return jwe.serializeGeneral();
    }
    // For a sole recipient MultiEncrypter loses the recipient's header, `epk` included: all of it is protected instead.
    members.put("kid", first.getKeyID());
    members.put("alg", first.getAlgorithm().getName());
    var jwe = new JWEObject(JWEHeader.parse(members), payload);
    jwe.encrypt(encrypter(first, contentKey));
    if (form.equals("compact")) return jwe.serialize();
    return form.equals("flattened") ? new JWEObjectJSON(jwe).serializeFlattened() : new JWEObjectJSON(jwe).serializeGeneral();
  }

  /** The keys, and in `members` the party info of a sole one: MultiEncrypter takes none. */
  private static List<JWK> recipients(Map<String, Object> task, Map<String, Object> members) throws Exception {
    var tasks = JSONObjectUtils.getJSONObjectArray(task, "recipients");
    var keys = new ArrayList<JWK>();
    for (var recipient : tasks) {
      for (var name : List.of("apu", "apv")) {
        if (!recipient.containsKey(name)) continue;
        if (tasks.length > 1) throw new JOSEException("MultiEncrypter takes no " + name);
        members.put(name, recipient.get(name));
      }
      keys.add(JWK.parse(JSONObjectUtils.getJSONObject(recipient, "jwk")));
    }
    return keys;
  }

  private static JWEEncrypter encrypter(JWK key, SecretKey contentKey) throws JOSEException {
    if (key instanceof RSAKey rsa) return new RSAEncrypter(rsa.toRSAPublicKey(), contentKey);
    return key instanceof OctetKeyPair pair ? new X25519Encrypter(pair, contentKey) : new ECDHEncrypter(key.toECKey().toECPublicKey(), contentKey);
  }
}
