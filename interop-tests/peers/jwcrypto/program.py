"""jwcrypto behind lines of JSON: seals and opens by the recipe of docs/FORMAT.md."""

import hmac
import json
import os
import sys

from jwcrypto.common import base64url_decode, base64url_encode
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

CONTENT_KEY_BYTES = {"A128GCM": 16, "A256GCM": 32, "A256CBC-HS512": 64}


def key_commitment(content_key, enc):
    return base64url_encode(hmac.digest(content_key, b"sealbus/1 kc " + enc.encode(), "sha256"))


def seal(task):
    header, recipients = task["header"], task["recipients"]
    header["enc"] = task["enc"]
    if "alg" in task:
        header["alg"] = task["alg"]
    if len(recipients) == 1:
        header.update(own_parameters(recipients[0], task))
    content_key = os.urandom(CONTENT_KEY_BYTES[task["enc"]])
    if task["commit"]:
        header["kc"] = key_commitment(content_key, task["enc"])
    jwe = JWE(plaintext=base64url_decode(task["plaintext"]), protected=json.dumps(header))
    jwe.cek = content_key
    for recipient in recipients:
        own = own_parameters(recipient, task) if len(recipients) > 1 else None
        jwe.add_recipient(JWK(**recipient["jwk"]), header=own)
    made = jwe.serialize(compact=task["form"] == "compact")
    if task["form"] == "general" and "recipients" not in json.loads(made):
        raise ValueError("it was serialized as flattened")
    return {"jwe": made}


def own_parameters(recipient, task):
    own = {"kid": recipient["jwk"]["kid"]}
    if "alg" not in task:
        own["alg"] = recipient["jwk"]["alg"]
    own.update({name: recipient[name] for name in ("apu", "apv") if name in recipient})
    return own


def open_(task):
    jwe = JWE(algs=["ECDH-ES+A256KW", "RSA-OAEP-256", "A256GCM", "A128GCM"])
    jwe.deserialize(task["jwe"])
    jwe.decrypt(JWK(**task["jwk"]))
    header = json.loads(jwe.objects["protected"])
    expected = key_commitment(jwe.cek, header["enc"])
    return {
        "plaintext": base64url_encode(jwe.plaintext),
        "header": header,
        "committed": hmac.compare_digest(expected, header["kc"]),
    }


for line in sys.stdin:
    question = json.loads(line)
    try:
        answer = seal(question) if question["task"] == "seal" else open_(question)
    except Exception as error:  # whatever the library raises is its answer
        answer = {"error": f"{type(error).__name__}: {error}"[:500]}
    print(json.dumps(answer), flush=True)
