"""Signs a link with PyJWT, as an app would: sign_link.py ALGORITHM KEYFILE NAME

HS256 takes the bytes of the file as the secret, whatever they are. PyJWT itself
refuses to do that with a public key, so that one is made by hand.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
import uuid

import jwt

algorithm, file, name = sys.argv[1:]
with open(file, "rb") as opened:
    key = opened.read()
claims = {"token": name, "exp": time.time() + 60, "jti": str(uuid.uuid4()), "single_use": True}


def part(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


if algorithm == "HS256":
    text = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + "." + part(json.dumps(claims).encode())
    print(text + "." + part(hmac.new(key, text.encode(), hashlib.sha256).digest()))
elif algorithm == "none":
    print(jwt.encode(claims, None, algorithm="none"))
else:
    print(jwt.encode(claims, key, algorithm=algorithm))
