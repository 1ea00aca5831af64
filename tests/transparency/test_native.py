"""What Python has of key transparency: proofs, signatures, a directory and what its clients verify."""

from __future__ import annotations

import hashlib

import pytest

from bartizan._native import (
    AuditorKey,
    AuditProof,
    AuditProofDecoder,
    AuditProofRefused,
    DirectoryAnswerRefused,
    KeyDirectory,
    StatementRefused,
    parse_audit_proof_name,
    statement_bytes,
    transparency_checks_table,
    verify_history,
    verify_lookup,
    verify_statement,
)


def published(epochs: int) -> KeyDirectory:
    """A directory of four users who change their value in every epoch."""
    directory = KeyDirectory(bytes(32))
    for epoch in range(1, epochs + 1):
        directory.publish([(f"user{user}".encode(), f"{epoch}".encode()) for user in range(4)])
    return directory


def test_the_proofs_of_a_directory_lead_from_each_epoch_to_the_next() -> None:
    directory = published(3)
    for epoch in (1, 2, 3):
        name, data = directory.audit(epoch)
        number, previous, current = parse_audit_proof_name(name)
        assert (number, previous, current) == (epoch, directory.root(epoch - 1), directory.root(epoch))
        assert name == f"{epoch}/{previous.hex()}/{current.hex()}"
        proof = AuditProof.decode(data)
        proof.verify(epoch, previous, current)
        assert proof.roots(epoch) == (previous, current)
        assert proof.inserted == (4 if epoch == 1 else 8)
    assert directory.epoch == (3, directory.root(3))


def test_a_refused_proof_names_the_check_and_the_place() -> None:
    directory = published(2)
    proof = AuditProof.decode(directory.audit(2)[1])
    start, end = directory.root(1), directory.root(2)
    for arguments, check in (
        ((2, end, end), "start_hash"),
        ((2, start, start), "end_hash"),
        ((3, start, end), "end_hash"),
        ((0, start, end), "epoch"),
    ):
        with pytest.raises(AuditProofRefused) as refused:
            proof.verify(*arguments)
        assert (refused.value.args[0], refused.value.args[2]) == (check, None)
    with pytest.raises(AuditProofRefused) as refused:
        AuditProof.decode(b"\x0a\x02\x12\x00")
    assert refused.value.args == ("missing", "at byte 2 of the proof: the element has no label", 2)
    with pytest.raises(AuditProofRefused) as refused:
        parse_audit_proof_name("1/2/3")
    assert refused.value.args[0] == "name"


def test_a_proof_is_read_in_pieces() -> None:
    directory = published(2)
    data = directory.audit(2)[1]
    decoder = AuditProofDecoder()
    for byte in data:
        decoder.feed(bytes([byte]))
    proof = decoder.finish()
    assert proof.roots(2) == (directory.root(1), directory.root(2))
    with pytest.raises(ValueError, match="this proof is finished"):
        decoder.feed(data)

    cut = AuditProofDecoder()
    cut.feed(data[:-1])
    with pytest.raises(AuditProofRefused) as refused:
        cut.finish()
    assert refused.value.args[0] == "truncated"
    wrong = AuditProofDecoder()
    for _ in range(2):
        with pytest.raises(AuditProofRefused) as refused:
            wrong.feed(b"\x07")
        assert refused.value.args == ("tag", "at byte 0 of the proof: 7 is no tag of a field", 0)


def test_a_progress_that_raises_ends_the_verification() -> None:
    proof = AuditProof.decode(published(1).audit(1)[1])
    seen = list[tuple[int, int]]()
    proof.roots(1, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4, 4)

    def refuse(_done: int, _total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        proof.roots(1, progress=refuse)


def test_the_experimental_configuration_needs_its_domain() -> None:
    proof = AuditProof.decode(published(1).audit(1)[1])
    whatsapp = proof.roots(1)
    assert proof.roots(1, configuration="experimental", domain=b"here") != whatsapp
    with pytest.raises(ValueError, match="needs the directory's domain"):
        proof.roots(1, configuration="experimental")
    with pytest.raises(ValueError, match="has no domain"):
        proof.roots(1, domain=b"here")
    with pytest.raises(ValueError, match='there is no configuration "other"'):
        proof.roots(1, configuration="other")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="end_hash has 3 bytes, not 32"):
        proof.verify(1, whatsapp[0], b"abc")


@pytest.mark.parametrize("ciphersuite", [1, 2])
def test_a_statement_verifies_under_its_key_alone(ciphersuite: int) -> None:
    key = AuditorKey.generate()
    digest = hashlib.sha256(b"root").digest()
    signature = key.sign(ciphersuite, "log.example", 1_717_084_639_921, 7, digest)
    verify_statement(key.public_key, signature, ciphersuite, "log.example", 1_717_084_639_921, 7, digest)
    assert b"log.example" in statement_bytes(ciphersuite, "log.example", 1_717_084_639_921, 7, digest)
    for arguments, check in (
        ((AuditorKey.generate().public_key, signature, ciphersuite, "log.example", 1_717_084_639_921, 7), "signature"),
        ((key.public_key, signature, 3 - ciphersuite, "log.example", 1_717_084_639_921, 7), "signature"),
        ((key.public_key, signature, ciphersuite, "log.example", 1_717_084_639_921, 8), "signature"),
        ((key.public_key, signature[1:], ciphersuite, "log.example", 1_717_084_639_921, 7), "signature_length"),
        ((key.public_key[1:], signature, ciphersuite, "log.example", 1_717_084_639_921, 7), "public_key"),
        ((key.public_key, signature, 3, "log.example", 1_717_084_639_921, 7), "ciphersuite"),
    ):
        with pytest.raises(StatementRefused) as refused:
            verify_statement(*arguments, digest)
        assert refused.value.args[0] == check


def test_a_key_is_had_again_from_its_seed_and_never_shown() -> None:
    key = AuditorKey.generate()
    again = AuditorKey.from_seed(key.seed())
    assert (again.public_key, again.key_id) == (key.public_key, key.public_key[-1])
    assert repr(key) == f"AuditorKey(public_key={key.public_key.hex()})"
    assert key.seed().hex() not in repr(key)
    with pytest.raises(ValueError, match="seed has 3 bytes, not 32"):
        AuditorKey.from_seed(b"abc")


def test_a_client_verifies_what_a_directory_answers() -> None:
    directory = published(3)
    public_key = directory.public_key
    proof, epoch, root = directory.lookup(b"user1")
    assert (epoch, root) == directory.epoch
    assert verify_lookup(public_key, epoch, root, b"user1", proof) == (3, 3, b"3")
    history, epoch, root = directory.history(b"user1")
    assert verify_history(public_key, epoch, root, b"user1", history) == [(3, 3, b"3"), (2, 2, b"2"), (1, 1, b"1")]
    latest, epoch, root = directory.history(b"user1", 1)
    assert verify_history(public_key, epoch, root, b"user1", latest, 1) == [(3, 3, b"3")]
    for label, of_root, check in ((b"user2", root, "vrf"), (b"user1", bytes(32), "membership")):
        with pytest.raises(DirectoryAnswerRefused) as refused:
            verify_lookup(public_key, epoch, of_root, label, proof)
        assert refused.value.args[0] == check


def test_a_directory_says_what_it_has_not() -> None:
    directory = published(1)
    with pytest.raises(KeyError, match="nothing was published of label"):
        directory.lookup(b"nobody")
    with pytest.raises(ValueError, match="there is no epoch 2; the latest is 1"):
        directory.audit(2)
    with pytest.raises(ValueError, match="published twice"):
        directory.publish([(b"a", b"1"), (b"a", b"2")])
    with pytest.raises(ValueError, match="key has 3 bytes, not 32"):
        KeyDirectory(b"abc")
    assert directory.publish([]) == directory.epoch


def test_every_check_has_a_name_of_its_own() -> None:
    table = transparency_checks_table()
    assert {kind for kind, _, _ in table} == {"proof", "signature", "answer"}
    assert len({(kind, check) for kind, check, _ in table}) == len(table)
