"""The native module: everything that Python can reach of the data plane. Built from `crates/python`."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal, final

__all__ = [
    "AuditProof",
    "AuditProofDecoder",
    "AuditProofRefused",
    "AuditorKey",
    "DirectoryAnswerRefused",
    "Edge",
    "Expression",
    "ExpressionRefused",
    "KeyDirectory",
    "ListFileRefused",
    "PolicyRefused",
    "PolicyReplay",
    "SpoolBatch",
    "SpoolReader",
    "SpoolWriter",
    "StatementRefused",
    "TomlSpans",
    "TomlSyntaxError",
    "WafRules",
    "WafRulesRefused",
    "absent_fields_table",
    "absent_functions_table",
    "actions_table",
    "check_policy",
    "complete_expression",
    "diagnose_expression",
    "event_tables",
    "field_sql",
    "fields_table",
    "format_expression",
    "functions_table",
    "limits_table",
    "list_counts",
    "list_holds",
    "list_item_line",
    "list_items",
    "logpush_fields_table",
    "metrics_table",
    "parse_audit_proof_name",
    "parse_toml",
    "phases_table",
    "purge_spool",
    "request_refusal",
    "secret_names_table",
    "statement_bytes",
    "transparency_checks_table",
    "verify_history",
    "verify_lookup",
    "verify_statement",
    "waf_files",
    "waf_paranoia_level",
    "waf_words",
]

class TomlSyntaxError(ValueError):
    """The text is not TOML. `args[0]` lists every place as `(line, column, message)`, in the order of the text."""

@final
class TomlSpans:
    """Where keys and values stand in the text that `parse_toml` read."""

    def locate(self, paths: list[tuple[str | int, ...]]) -> list[tuple[int, int, int, int]]:
        """`(key line, key column, value line, value column)` of each path, all from 1.

        A path is made of table keys and array indexes. Where it does not exist, the position of its nearest existing
        ancestor is given; the empty path is the start of the text.
        """

def parse_toml(text: str | bytes) -> tuple[dict[str, Any], TomlSpans]:
    """Parses TOML 1.1; raises `TomlSyntaxError` with every syntax error found. Dates become text.

    Bytes are UTF-8, and are not copied; raises UnicodeDecodeError where they are not.
    """

def check_policy(document: bytes) -> bytes:
    """Compiles a policy document as the edge would.

    Returns a JSON array of diagnostics: the errors for which it would be refused, or the warnings with which it would
    be taken.
    """

class ListFileRefused(ValueError):  # noqa: N818  it is the file that is wrong
    """A list file cannot be read; its arguments are the line, from 1, and what is wrong with it."""

def list_items(kind: str, data: bytes) -> bytes:
    """The items of a list file as a JSON array. Raises `ListFileRefused`."""

def list_item_line(kind: str, data: bytes, index: int) -> int | None:
    """The line, from 1, on which the item at `index` stands in a list file, or None."""

def list_counts(part: bytes) -> tuple[int, int, int]:
    """Of a list of the policy document: how many items it has, how many of them expire, and how many have."""

def list_holds(part: bytes, value: str) -> tuple[bool, tuple[int, str] | None]:
    """Whether a value is in a list of the policy document now; of a list of redirects status and target as well.

    Raises ValueError where the value is none that such a list holds.
    """

def limits_table() -> bytes:
    """The table of deadlines and caps: a JSON array of objects with name, default, min, max and summary."""

def event_tables() -> list[tuple[str, list[tuple[str, str, str]]]]:
    """The event tables that this release writes: `(table, [(column, type, summary)])` in row order."""

def purge_spool(
    directory: str | PathLike[str], before: int | None = None, zone: str | None = None, client: str | None = None
) -> tuple[int, int, int]:
    """Deletes the rows of a spool directory that are of all that is given.

    From before a moment in nanoseconds, of a zone, of a client's address as it is kept. Returns rows deleted, segments
    written anew, and rows that stay because their segment is being written, read or shipped. Raises OSError, and
    ValueError where nothing is given or the client is no address.
    """

@final
class SpoolReader:
    """Follows a spool directory, which need not exist yet. Threads take turns."""

    def __new__(cls, directory: str | PathLike[str], position: str | tuple[int, int] | None = None) -> SpoolReader:
        """Starts at "oldest" (the default), "latest" or a place `(segment, offset)`; offset 0 is a segment's first row.

        Raises OSError if the directory cannot be read, ValueError for another position.
        """

    def next_batch(self, max_rows: int = 65_536, max_bytes: int = 33_554_432) -> SpoolBatch | None:
        """The next rows of one segment, or None when there are no more yet.

        Raises OSError if a segment cannot be read or is of a newer format.
        """

    @property
    def place(self) -> tuple[int, int]:
        """Where the next batch starts: segment and offset in bytes."""

    def take_troubles(self) -> list[str]:
        """What was found torn, damaged or removed since this was last asked, as sentences."""

    @staticmethod
    def segments(directory: str | PathLike[str]) -> list[int]:
        """The numbers of the segments in a directory, ascending. Raises OSError."""

    @staticmethod
    def read_range(directory: str | PathLike[str], edge: str, segment: int, start: int, end: int) -> SpoolBatch:
        """Exactly the rows of a batch that was read before. Raises OSError if the segment no longer has them."""

@final
class SpoolBatch:
    """Rows of one range of one segment."""

    @staticmethod
    def of_ndjson(table: str, lines: bytes, first_line: int = 1) -> tuple[SpoolBatch, list[tuple[str, int]]]:
        """The rows of JSON objects on lines, which are of no segment: their range is empty.

        With them come the names that are no columns of the table, each with the line that had it first. Raises
        ValueError with line, column (empty where the whole line is wrong) and what is wrong as its arguments.
        """

    def __len__(self) -> int: ...
    @property
    def range(self) -> tuple[str, int, int, int]:
        """Edge, segment, first byte, byte behind the last: the same range always holds the same rows."""

    @property
    def tables(self) -> list[tuple[str, list[tuple[str, str, str]]]]:
        """The tables as the segment describes them; summaries are empty."""

    @property
    def gaps(self) -> list[tuple[str, int, int]]:
        """Reason, number and first sequence of rows that were dropped where these stand."""

    @property
    def sampled(self) -> int:
        """How many rows were sampled away where these stand, which stand for them."""

    def native(self, table: str) -> bytes | None:
        """The rows of one table as a block in ClickHouse's Native format; None if there are none."""

    def ndjson(self, table: str) -> bytes | None:
        """The rows of one table as JSON objects, each on a line, as in `json_rows`; None if there are none."""

    def values(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Of each row of one table, the values of these columns, as `rows` gives them; None for an absent one."""

    def rows(
        self, table: str | None = None, equals: Sequence[tuple[str, str]] | None = None
    ) -> list[tuple[str, dict[str, object]]]:
        """`(table, row)` of the rows, of one table or all, whose columns have these values, compared as text.

        A row is without its absent columns; timestamps are nanoseconds since the epoch.
        """

    def json_rows(
        self, table: str | None = None, equals: Sequence[tuple[str, str]] | None = None
    ) -> list[tuple[str, str]]:
        """What `rows` gives, each row as a JSON object; timestamps are RFC 3339."""

@final
class SpoolWriter:
    """Writes events of the tables of `event_tables` into a spool directory, as an edge does."""

    def __new__(
        cls,
        directory: str | PathLike[str],
        segment_bytes: int = 67_108_864,
        segment_seconds: float = 60.0,
        max_bytes: int = 4_294_967_296,
        fsync: str = "1s",
    ) -> SpoolWriter:
        """`fsync` is "always", "never" or seconds as "1s".

        Raises OSError if the directory cannot be used or another process writes there, ValueError for other settings.
        """

    def push(self, table: str, values: dict[str, object]) -> bool:
        """Hands over a row: values by column, timestamps in nanoseconds, addresses as text.

        Text is str or bytes.

        Never waits; False if there was no room and the row was dropped. Raises ValueError, TypeError or OverflowError
        for what does not fit the table.
        """

    @property
    def rows_written(self) -> int:
        """Rows that stand in a segment so far; 0 once closed."""

    def close(self) -> None:
        """Writes what is left, finishes the segment and stops."""

class PolicyRefused(ValueError):  # noqa: N818  what happened to the policy, as its users say it
    """A policy was refused; `args` is the text for people and the diagnostics as JSON bytes."""

@final
class PolicyReplay:
    """A policy that judges recorded requests as the edge would, without an edge: nothing is sent, no name resolved."""

    def __new__(cls, document: bytes) -> PolicyReplay:
        """Compiles a policy document. Raises `PolicyRefused`."""

    def judge(self, requests: Sequence[Any]) -> bytes:
        """What the policy makes of each request, objects as `bartizan.policy.replay.Recording`, as a JSON array.

        Each is an object with one member: `replayed`, `refused` (by the codec: status, name, reason) or `unreadable`
        (why it is no request). Raises ValueError for facts that cannot be.
        """

@final
class Edge:
    """The data plane. One may run in a process at a time; in a forked child every method raises RuntimeError."""

    def __new__(cls, options: bytes) -> Edge:
        """`options` is a JSON object.

        `acme_challenges`: directory from which HTTP-01 challenges are answered; `events`: "spool" or "off";
        `sticky_key`: file of the key of stickiness cookies, `address_key`: of the key of hashed client addresses, both
        made where they are missing; `audit_logs`: folder of the audit logs of rule sets. Raises ValueError for anything
        else.
        """

    def start(self, policy: bytes, sockets: list[int] | None = None, spool_lock: int | None = None) -> None:
        """Compiles the policy, binds its addresses and starts the threads.

        `sockets` and `spool_lock` are descriptors as `hand_over` of another process gives them. They are given away:
        the caller must not close them. Raises PolicyRefused, OSError for an address or a spool that cannot be opened,
        RuntimeError where an edge runs in this process already.
        """

    def wait(self) -> None:
        """Blocks until `shutdown()` or a signal; what a signal handler raises is raised after the drain."""

    def serve(self, policy: bytes) -> None:
        """`start`, then `wait`."""

    def hand_over(self) -> tuple[list[int], int | None]:
        """Descriptors for an edge in another process: of the listening sockets, and of the spool's lock.

        The caller closes them. This edge serves on, and its events go to one last segment; once it is stopped,
        connections that rest get a moment to send a request. Raises OSError, RuntimeError where it is not running.
        """

    def stay(self) -> None:
        """Goes on as if nothing had been handed over: the other edge did not come up. Raises OSError, RuntimeError."""

    def apply(self, policy: bytes) -> bytes:
        """Puts a policy into effect; the report as JSON. Raises PolicyRefused, and then the one before stays."""

    def status(self) -> bytes:
        """Version, zones, addresses, threads, connections, uptime and metrics, as JSON."""

    def metrics(self) -> str:
        """The metrics in Prometheus' text format."""

    def listening(self) -> list[tuple[str, bool]]:
        """The bound addresses; the flag says whether TLS is spoken there."""

    def reload_certificates(self) -> tuple[int, list[str]]:
        """Reads certificates again that changed on disk: how many did, and what is wrong with others."""

    def shutdown(self, grace_s: float | None = None) -> None:
        """Drains for at most `grace_s` seconds (the policy's `drain_timeout_ms` if None) and stops."""

def fields_table() -> str:
    """Every field of the rules language, as a JSON array.

    Each is an object with name, type, summary, category, available (`head`, `body` or `response`), example (an
    expression that reads it), aliases (deprecated names) and difference from the documented meaning, or null.
    """

def absent_fields_table() -> str:
    """Every documented field that is not here: a JSON array of objects with name, type, reason and product or null."""

def logpush_fields_table() -> str:
    """Every field that Cloudflare documents for the event tables, as a JSON array.

    Each is an object with table, name, state ("filled", "partly", "later", "never"), reason (null where filled) and,
    where no column has the field, type and product (null for "never").
    """

def secret_names_table() -> str:
    """The names by which parameters are known for secrets: a JSON object of stems, words and last_words."""

def functions_table() -> str:
    """Every function of the rules language, as a JSON array.

    Each is an object with name, signature, summary, places (where it is allowed), once (whether an expression may hold
    it once only) and examples: objects with expression, request, client and result.
    """

def absent_functions_table() -> str:
    """Every documented function that is not here: a JSON array of objects with name and reason."""

def phases_table() -> str:
    """Every phase, as a JSON array in the order in which they run.

    Each is an object with name, summary and response (whether the response is known then).
    """

def actions_table() -> str:
    """Every action that does something, as a JSON array.

    Each is an object with name, summary, phases (whose rules may have it), terminating (whether no rule runs after it)
    and parameters: objects with name and summary.
    """

def metrics_table() -> str:
    """Every metric: a JSON array of objects with name, kind, the key of its label or null, and help."""

class ExpressionRefused(ValueError):  # noqa: N818  named for what happened
    """An expression is wrong.

    Its arguments are the text for people with a caret under the place, the message, line, column (both from 1), length
    in bytes, what was expected or None, and what was probably meant or None.
    """

@final
class Expression:
    """A compiled filter expression. Threads may share it."""

    def __new__(cls, source: str, phase: str, lists: list[tuple[str, str, list[str]]]) -> Expression:
        """Compiles a filter for a phase. Each list is its name, its kind and its items.

        Raises ExpressionRefused for an expression that is wrong, ValueError for a phase or a list that is.
        """

    def matches(self, samples: Sequence[object]) -> list[bool]:
        """Whether each of the requests matches; the GIL is released while they are judged.

        A request is an object with the attributes of `bartizan.rules.request.Sample`. Raises ValueError for one that
        the edge would refuse, AttributeError or TypeError for another object.
        """

    def fields(self) -> list[str]:
        """The names of the fields that it reads, in the order of the reference."""

    def explain(self) -> str:
        """What it is made of, for people."""

    def explain_json(self) -> str:
        """The same as a JSON object: expression, tree, fields, phases, holds_body, cost_ns and costliest."""

    def trace_json(self, sample: object) -> str:
        """The verdict of each condition within it for a request, as a JSON array.

        Its objects have depth, source and matches, outermost first; keys of tokens are not shown. Raises what
        `matches` raises.
        """

    def sql(self) -> str:
        """The condition over the table `http_requests` that holds for the same requests.

        Raises ExpressionRefused where there is none that is exact.
        """

    def sql_as_far_as_known(self) -> tuple[str, list[str]]:
        """The condition with `NULL` for each part that has no translation, and for each of those why.

        It is true or false where what is known decides, and `NULL` where it does not.
        """

def field_sql(name: str) -> str | None:
    """The value of a field as SQL over `http_requests`; None for no field, or one that the event store has not."""

def complete_expression(source: str, offset: int, phase: str, lists: list[tuple[str, str, list[str]]]) -> str:
    """What could be written at that place of a filter, in characters, as a JSON array.

    Its objects have insert, kind, detail, start and end. Raises ValueError for a phase or a list that is wrong.
    """

def diagnose_expression(source: str, phase: str, lists: list[tuple[str, str, list[str]]]) -> str:
    """All that is wrong with a text as a filter, as a JSON array in the order of the text; empty where it compiles.

    Its objects have message, line, column, length, expected and suggestion. Raises ValueError for a phase or a list
    that is wrong.
    """

def format_expression(source: str) -> str:
    """The canonical form of an expression, whatever it names. Raises ExpressionRefused for what is none."""

class WafRulesRefused(ValueError):  # noqa: N818  it is the rules that are wrong
    """Rules cannot be loaded; its argument is a list of all that is wrong: file, line, message."""

@final
class WafRules:
    """A rule set of the ModSecurity rule language. Threads may share it; each inspection releases the GIL."""

    def __new__(
        cls,
        text: bytes,
        name: str,
        folder: str | PathLike[str],
        detect_only: bool,
        scores: Sequence[str],
        audit_whole: bool,
    ) -> WafRules:
        """Loads rules given as text, with all that they include; raises `WafRulesRefused`.

        `name` is what the text is called in messages, `folder` where its includes and data files are. With
        `detect_only` nothing is interrupted, without it all that says so is: `SecRuleEngine` of the files is not asked.
        `scores` are the names in `TX` whose numbers verdicts tell. Entries of the audit log are without secrets unless
        `audit_whole`.
        """

    def notes(self) -> list[tuple[str, int, str]]:
        """What of the files has no effect: file, line, why."""

    def rules(self) -> list[tuple[int, int, list[str], str, int]]:
        """Each rule: number, phase, tags, file and line."""

    def inspect(
        self,
        request: bytes,
        response: bytes | None,
        client: str,
        server: str,
        protocol: str | None,
        request_id: str,
    ) -> tuple[bytes, bytes | None]:
        """Runs the rules over messages of HTTP/1.1: the verdict, and the entry of the audit log if that wants one.

        The verdict is a JSON object whose keys are `interruption` and `would_interrupt` (`rule`, `action`, `status`,
        `location`), `matches` and `scores`. `client` and `server` are addresses with ports; `protocol` stands in the
        place of the request's own.
        Messages are taken apart and not judged: `request_refusal` says what the edge would refuse.
        """

def waf_files(
    text: bytes, name: str, folder: str | PathLike[str]
) -> tuple[dict[str, bytes], list[tuple[str, int, str]]]:
    """The files that a text of rules reads, by path: those that it includes, and the data beside them.

    What cannot be read is told beside: file, line, why. The rules themselves are not judged.
    """

def waf_paranoia_level(level: int) -> str:
    """The directive that sets a paranoia level, to stand between the setup of a rule set and its rules."""

def request_refusal(request: bytes) -> tuple[int, str, str] | None:
    """Why the edge would refuse a message of HTTP/1.1 before any rule sees it: status, name, reason; None if not."""

def waf_words() -> list[tuple[str, str, str, str]]:
    """The words of the ModSecurity rule language as the engine has them.

    Each is its kind (`directive`, `variable`, `operator`, `transformation`, `action`), its name, what it does or why
    not, and what becomes of it in a file: `works`, `without bearing` or `refused`.
    """

class AuditProofRefused(ValueError):  # noqa: N818  it is the proof that is wrong
    """A proof of an epoch is refused.

    Its arguments are the check that refused, out of `transparency_checks_table`, a sentence, and where in the bytes of
    the proof, or None if it is not the bytes that are wrong.
    """

class StatementRefused(ValueError):  # noqa: N818  it is the signature that is wrong
    """A signature of an auditor is refused; its arguments are the check and a sentence."""

class DirectoryAnswerRefused(ValueError):  # noqa: N818  it is the answer that is wrong
    """An answer of a key directory is refused; its arguments are the check and a sentence."""

def transparency_checks_table() -> list[tuple[Literal["proof", "signature", "answer"], str, str]]:
    """Every check of what auditors and clients verify: what is checked, the name of the check, what it asks."""

def parse_audit_proof_name(name: str) -> tuple[int, bytes, bytes]:
    """Epoch, previous and current root hash of `epoch/hex/hex`, in its only spelling. Raises `AuditProofRefused`.

    A name is written with `f"{epoch}/{previous.hex()}/{current.hex()}"`. The epoch is the one that the proof leads to.
    """

@final
class AuditProof:
    """The proof that leads from one epoch to the next: an element takes 66 bytes of memory."""

    @staticmethod
    def decode(data: bytes) -> AuditProof:
        """Reads the whole bytes of a `SingleAppendOnlyProof`. Raises `AuditProofRefused`."""

    @property
    def inserted(self) -> int:
        """How many leaves the epoch added."""

    @property
    def unchanged(self) -> int:
        """How many nodes it left as they were."""

    def roots(
        self,
        epoch: int,
        *,
        configuration: Literal["whatsapp_v1", "experimental"] = "whatsapp_v1",
        domain: bytes | None = None,
        threads: int = 1,
        progress: Callable[[int, int], object] | None = None,
    ) -> tuple[bytes, bytes]:
        """The root hashes before and after, if the proof leads to `epoch`. Raises as `verify` does."""

    def verify(
        self,
        epoch: int,
        start_hash: bytes,
        end_hash: bytes,
        *,
        configuration: Literal["whatsapp_v1", "experimental"] = "whatsapp_v1",
        domain: bytes | None = None,
        threads: int = 1,
        progress: Callable[[int, int], object] | None = None,
    ) -> None:
        """Checks that the proof leads from one root hash to the next, in `epoch`, the later of the two.

        The work is done without the GIL on as many threads as are given. `progress` is called ten times a second and at
        the end, with the elements done and all of them; what it raises ends the verification, as a signal does, and is
        raised here. The configuration "experimental" needs the domain of the directory. Raises `AuditProofRefused`, and
        ValueError for another configuration or a hash that is not 32 bytes.
        """

@final
class AuditProofDecoder:
    """Reads a proof as its bytes come, and keeps no more of them than one unfinished element."""

    def __new__(cls) -> AuditProofDecoder: ...
    def feed(self, data: bytes) -> None:
        """Takes the next bytes. Raises `AuditProofRefused` as soon as they can be no proof."""

    def finish(self) -> AuditProof:
        """The proof, if the bytes ended where they may; else raises `AuditProofRefused`. To be called once."""

@final
class AuditorKey:
    """The secret of an auditor, an Ed25519 key. What is shown of it is the public key."""

    @staticmethod
    def generate() -> AuditorKey:
        """A new key of the system's randomness. Raises OSError if it has none."""

    @staticmethod
    def from_seed(seed: bytes) -> AuditorKey:
        """The key of 32 secret bytes. Raises ValueError for another length."""

    def seed(self) -> bytes:
        """The 32 secret bytes, to be kept where nobody else reads."""

    @property
    def public_key(self) -> bytes:
        """What others verify with, 32 bytes."""

    @property
    def key_id(self) -> int:
        """What Plexi calls the key: the last byte of the public key."""

    def sign(self, ciphersuite: int, namespace: str, timestamp: int, epoch: int, digest: bytes) -> bytes:
        """The 64 bytes of the signature over a statement; the timestamp is in milliseconds since 1970.

        Raises `StatementRefused` for a ciphersuite other than 1 (protobuf) and 2 (bincode).
        """

def statement_bytes(ciphersuite: int, namespace: str, timestamp: int, epoch: int, digest: bytes) -> bytes:
    """The bytes that `AuditorKey.sign` signs. Raises as it does."""

def verify_statement(
    public_key: bytes, signature: bytes, ciphersuite: int, namespace: str, timestamp: int, epoch: int, digest: bytes
) -> None:
    """Checks that a signature is by a key over exactly this statement, strictly. Raises `StatementRefused`."""

@final
class KeyDirectory:
    """A key directory in memory, in the configuration "whatsapp_v1". Threads take turns.

    The same publishes under the same key make the same directory again.
    """

    def __new__(cls, key: bytes) -> KeyDirectory:
        """An empty directory. The key, 32 secret bytes, makes labels of names: who has it can try names."""

    @property
    def public_key(self) -> bytes:
        """What clients verify answers with, 32 bytes."""

    @property
    def epoch(self) -> tuple[int, bytes]:
        """The latest epoch, 0 before anything was published, and its root hash."""

    def root(self, epoch: int) -> bytes:
        """The root hash of an epoch. Raises ValueError where there is none."""

    def publish(self, updates: Sequence[tuple[bytes, bytes]]) -> tuple[int, bytes]:
        """Publishes labels with their values as the next epoch; returns it and its root hash.

        What has its value already is left out; if that is all of it the epoch stays. Raises ValueError for a label that
        is there twice.
        """

    def lookup(self, label: bytes) -> tuple[bytes, int, bytes]:
        """The proof of the value that a label has now, its epoch and root hash. Raises KeyError for an unknown one."""

    def history(self, label: bytes, most: int | None = None) -> tuple[bytes, int, bytes]:
        """The same of the latest `most` values that a label had, or of all of them."""

    def audit(self, epoch: int) -> tuple[str, bytes]:
        """Name and bytes of the proof that leads to an epoch from the one before. Raises ValueError where none does."""

def verify_lookup(public_key: bytes, epoch: int, root: bytes, label: bytes, proof: bytes) -> tuple[int, int, bytes]:
    """Version, epoch and value that a directory had for a label. Raises `DirectoryAnswerRefused`."""

def verify_history(
    public_key: bytes, epoch: int, root: bytes, label: bytes, proof: bytes, most: int | None = None
) -> list[tuple[int, int, bytes]]:
    """Versions, epochs and values that a directory had for a label, the latest first, as many as were asked for.

    Raises `DirectoryAnswerRefused`.
    """
