"""Bearer tokens: which are believed, and whom they are for. The signatures are those of PyJWT and cryptography."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from gateway.tokens import MAX_TOKEN, Rules, TokenRefused, UnknownKey, Visitor, issuer_of, signing_keys, verify
from store import DEFAULT_OWNER
from tests.simulators.issuer import AUDIENCE, SigningPair, rsa_key

ISSUER = "https://login.example.com"
PAIR = SigningPair("k1")
RULES = Rules([AUDIENCE])


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 60, **changes}
    return {name: value for name, value in made.items() if value is not None}


def visit(token: str, *pairs: SigningPair, rules: Rules = RULES) -> Visitor:
    published = {"keys": [pair.published for pair in pairs or (PAIR,)]}
    return verify(token, ISSUER, signing_keys(published), rules)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "RS512", "PS256"])
@pytest.mark.parametrize("told", [True, False])
def test_whatever_the_key_is_good_for_is_believed(algorithm: str, told: bool) -> None:
    pair = SigningPair("k", algorithm, told=told)
    assert visit(pair.sign(claims()), pair).name == "ann"


def test_a_key_that_is_for_one_algorithm_is_for_no_other() -> None:
    published, used = SigningPair("k", "RS256"), SigningPair("k", "PS256")
    with pytest.raises(TokenRefused, match="not good"):
        visit(used.sign(claims()), published)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exp": int(time.time()) - 3600}, "expired"),
        ({"exp": None}, "has no exp"),
        ({"aud": "another service"}, "audience"),
        ({"aud": ["a", "b"]}, "audience"),
        ({"aud": None}, "has no aud"),
        ({"iss": "https://evil.example.com"}, "not good"),
        ({"iss": ISSUER + "/"}, "not good"),
        ({"sub": None}, "has no sub"),
        ({"sub": ""}, "whom it is for"),
        ({"sub": 7}, "not good"),
        ({"nbf": int(time.time()) + 3600}, "not good"),
        ({"iat": int(time.time()) + 3600}, "not good"),
        ({"exp": "soon"}, "not good"),
        ({"exp": 1e400}, "not good"),
    ],
)
def test_claims_that_do_not_hold_are_refused_in_words(changes: dict[str, Any], said: str) -> None:
    token = PAIR.sign(claims(**changes))
    with pytest.raises(TokenRefused, match=said) as refused:
        visit(token)
    assert "evil" not in str(refused.value)


def test_one_of_several_audiences_is_enough() -> None:
    assert visit(PAIR.sign(claims(aud=["other", AUDIENCE]))).name == "ann"
    assert visit(PAIR.sign(claims(aud="b")), rules=Rules(["a", "b"])).name == "ann"


def unsigned(header: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in ({"kid": "k1", **header}, claims())]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def test_a_token_without_a_signature_is_none() -> None:
    for algorithm in ("none", "None", "NONE", "", None):
        with pytest.raises(TokenRefused):
            visit(unsigned({"alg": algorithm}))
    with pytest.raises(TokenRefused):
        visit(unsigned({}))


def test_the_public_key_is_not_taken_for_a_shared_secret() -> None:
    """The confusion of algorithms: HMAC with the text of the published RSA key."""
    pair = SigningPair("k", "RS256", told=False)
    text = (
        rsa_key().public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    header, body, _ = jwt.encode(claims(), "x" * 64, "HS256", headers={"kid": "k"}).split(".")
    signature = hmac.new(text, f"{header}.{body}".encode(), hashlib.sha256).digest()
    forged = f"{header}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    with pytest.raises(TokenRefused, match="not good"):
        visit(forged, pair)


def test_a_shared_secret_is_not_published() -> None:
    secret = {"kty": "oct", "kid": "k", "alg": "HS256", "k": base64.urlsafe_b64encode(b"s" * 32).decode()}
    with pytest.raises(ValueError, match="no key"):
        signing_keys({"keys": [secret]})


def test_what_was_changed_is_refused() -> None:
    head, _, signature = PAIR.sign(claims()).split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims(sub="bob")).encode()).rstrip(b"=").decode()
    with pytest.raises(TokenRefused):
        visit(f"{head}.{body}.{signature}")
    with pytest.raises(TokenRefused):
        visit(SigningPair("k1").sign(claims()))


def test_which_key_signed_is_clear_or_the_token_is_refused() -> None:
    unnamed, other = SigningPair(None), SigningPair(None)
    assert visit(unnamed.sign(claims()), unnamed).name == "ann"
    with pytest.raises(TokenRefused, match="which of its issuer's keys"):
        visit(unnamed.sign(claims()), unnamed, other)
    with pytest.raises(UnknownKey):
        visit(SigningPair("k2").sign(claims()))


@pytest.mark.parametrize(
    "published",
    [None, [], {}, {"keys": None}, {"keys": []}, {"keys": [7, None, {}, {"kty": "RSA"}, {"kty": ["RSA"]}]},
     {"keys": [{**PAIR.published, "use": "enc"}]}, {"keys": [{**PAIR.published, "alg": "RS256"}]},
     {"keys": [{**PAIR.published, "x": "!"}]}, {"keys": [{**PAIR.published, "crv": 7}]}],
)  # fmt: skip
def test_what_is_no_set_of_keys_is_said_to_be_none(published: object) -> None:
    with pytest.raises(ValueError, match="publishes"):
        signing_keys(published)


def test_a_key_that_cannot_be_read_does_not_spoil_the_others() -> None:
    assert [key.id for key in signing_keys({"keys": [{"kty": "EC", "kid": "bad"}, PAIR.published]})] == ["k1"]


def test_whose_token_it_says_it_is() -> None:
    assert issuer_of(PAIR.sign(claims())) == ISSUER
    for text in ("", "trk_abc", "a.b.c", "a.b", "..", "é.é.é", f"x.{'W' * MAX_TOKEN}.x", "x.W10.x", "x.NzE.x"):
        assert issuer_of(text) is None
    deep = base64.urlsafe_b64encode(b"[" * 9000).decode().rstrip("=")
    assert issuer_of(f"x.{deep}.x") is None


# Whom they are for


def test_a_user_is_of_his_own_organisation_unless_told_otherwise() -> None:
    ann, again, bob = (visit(PAIR.sign(claims(sub=sub))) for sub in ("ann", "ann", "bob"))
    assert ann.owner == again.owner
    assert ann.owner.organisation_id != bob.owner.organisation_id
    assert ann.owner.user_id != bob.owner.user_id
    elsewhere = verify(
        PAIR.sign(claims(iss="https://b.example.com")), "https://b.example.com",
        signing_keys({"keys": [PAIR.published]}), RULES,
    )  # fmt: skip
    assert elsewhere.owner.organisation_id != ann.owner.organisation_id


def test_all_share_the_first_organisation_if_that_is_meant() -> None:
    shared = Rules([AUDIENCE], "shared")
    ann, bob = (visit(PAIR.sign(claims(sub=sub)), rules=shared) for sub in ("ann", "bob"))
    assert ann.owner.organisation_id == bob.owner.organisation_id == DEFAULT_OWNER.organisation_id
    assert ann.owner.user_id != bob.owner.user_id


def test_a_claim_tells_the_organisation() -> None:
    rules = Rules([AUDIENCE], "org_id")
    ann, bob, eve = (
        visit(PAIR.sign(claims(sub=sub, org_id=org)), rules=rules)
        for sub, org in (("ann", "a"), ("bob", "a"), ("eve", DEFAULT_OWNER.organisation_id))
    )
    assert ann.owner.organisation_id == bob.owner.organisation_id != eve.owner.organisation_id
    assert eve.owner.organisation_id != DEFAULT_OWNER.organisation_id, "a name is no id of ours"
    for wrong in (None, "", 7, ["a"]):
        with pytest.raises(TokenRefused, match="org_id is missing"):
            visit(PAIR.sign(claims(org_id=wrong)), rules=rules)


@pytest.mark.parametrize(
    ("given", "scopes"),
    [
        ("openid calls:read agents:write x:y", {"calls:read", "agents:write"}),
        (["calls:read"], {"calls:read"}),
        ("openid", set()),
        (None, set()),
        ({"calls:read": True}, set()),
    ],
)
def test_a_claim_tells_the_scopes_and_without_it_there_are_none(given: object, scopes: set[str]) -> None:
    rules = Rules([AUDIENCE], scope_claim="scope")
    assert visit(PAIR.sign(claims(scope=given)), rules=rules).scopes == frozenset(scopes)
    assert visit(PAIR.sign(claims(scope=given))).scopes is None


def test_a_user_is_called_by_his_name() -> None:
    assert visit(PAIR.sign(claims(name="Ann", email="a@example.com"))).name == "Ann"
    assert visit(PAIR.sign(claims(name="", email="a@example.com"))).name == "a@example.com"
    assert len(visit(PAIR.sign(claims(name="x\0" * 1000))).name) <= 200
    assert visit(PAIR.sign(claims(name="A\ud800n\n"))).name == "An", "half a character cannot be stored"
