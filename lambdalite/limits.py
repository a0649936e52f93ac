"""Every default, limit and reserved number, each with its source.

Sources: **S** recorded from AWS · **B** botocore's API model · **D** AWS documentation · **O** our own decision.
Sizes are bytes and durations seconds, except where a name says MIB.
"""

from __future__ import annotations

MIB = 1024 * 1024

# --- function configuration ---------------------------------------------------------------------------------------
MEMORY_MIB = (128, 10_240)  # D: standard functions (the API model allows 32,768 for managed instances)
MEMORY_MIB_DEFAULT = 128  # B
TIMEOUT = (0.001, 900.0)  # B: 1-900 whole seconds; O: milliseconds below that, since tests want short hangs
TIMEOUT_DEFAULT = 3.0  # B
EPHEMERAL_STORAGE_MIB = (512, 10_240)  # B
EPHEMERAL_STORAGE_MIB_DEFAULT = 512  # B
NAME_LENGTH = 64  # S
DESCRIPTION_LENGTH = 256  # S
ENVIRONMENT_BYTES = 4_096  # S: the JSON of all variables
TAGS = 50  # D: user tags per resource
TAG_KEY_LENGTH = 128  # D
TAG_VALUE_LENGTH = 256  # D
INIT_TIMEOUT_DEFAULT = 10.0  # D: the on-demand init phase
INIT_TIMEOUT = (0.001, 900.0)  # D: up to 15 minutes (provisioned, SnapStart)
MEMORY_PER_VCPU_MIB = 1_769  # D: CPU power is linear in memory, one vCPU at 1,769 MB

# --- payloads -----------------------------------------------------------------------------------------------------
REQUEST_BYTES = 6 * MIB  # S: synchronous request
RESPONSE_BYTES = 6 * MIB + 100  # S: 6,291,556
CLIENT_CONTEXT_BYTES = 3_583  # B: base64 form
TENANT_ID_LENGTH = 256  # B
LOG_TAIL_BYTES = 4_096  # B: LogType=Tail

# --- concurrency --------------------------------------------------------------------------------------------------
ACCOUNT_CONCURRENCY = 1_000  # D
UNRESERVED_MINIMUM = 100  # S
IDLE_SECONDS = 600.0  # O: AWS does not say; a common observation
SPARES = 1  # O: environments forked ahead per stateless function
SPARES_MOST = 100  # O: each is a process that waits; that many idle ones for every function are a burst's worth
SPARES_AT_ONCE = 2  # O: one for the one just taken, one more to catch up: no invocation pays for all
REPLACEMENTS = 8  # O: environments that one invocation may find dead before it is refused
DESCRIPTOR_RESERVE = 48  # O: descriptors that we leave to the application when we refuse to start more

# --- inside an environment ----------------------------------------------------------------------------------------
OPEN_FILES = 1_024  # S: RLIMIT_NOFILE on AWS
PROCESSES = 1_024  # D: processes and threads
OUTPUT_BYTES = 1 * MIB  # O: captured output of one invocation; what is dropped is counted and said
KILL_PATIENCE = 2.0  # O: how long a caller waits to see a killed process gone before the pool is given up

# --- the asynchronous queue ---------------------------------------------------------------------------------------
EVENT_BYTES = 1 * MIB  # D: asynchronous payload, 256 KB before October 2025
ASYNC_CONCURRENCY = 16  # O: sent events that run at once; AWS scales to the account's limit, a laptop had better not
LEASE_SECONDS = 30.0  # O: a claim holds so long unless renewed, which happens three times as often
DELAY_SECONDS = 31_622_400.0  # O: a year and a day, as long as AWS lets a durable execution last
PRIORITY = 1_000_000  # O: either way
GROUP_LENGTH = 128  # D: as long as an SQS message group's id
KEEP_SUCCEEDED = 3_600.0  # O: how long an answer can be asked for
KEEP_FAILED = 1_209_600.0  # D: 14 days, as long as SQS keeps a dead letter
STOP_GRACE = 10.0  # O: docker stop's and systemd's order of magnitude; a handler may need up to 900
RETRY_ATTEMPTS = (0, 2)  # B: MaximumRetryAttempts
RETRY_ATTEMPTS_DEFAULT = 2  # D
EVENT_AGE = (60, 21_600)  # B: MaximumEventAgeInSeconds
EVENT_AGE_DEFAULT = 21_600  # D
RETRY_FIRST = 60.0  # D: after the first failed attempt; twice that after the second; S
BACKOFF = (1.0, 300.0)  # D: after a throttle or a failure of the service: first, and longest
RECURSION_PASSES = 16  # D: a chain of events through one function, then it is stopped
NESTED_INVOCATIONS = 64  # O: handlers that wait for one another, each with an environment; AWS's limit is concurrency
ERROR_MESSAGE_BYTES = 1_024  # S: of a dead letter's ErrorMessage
DELIVERY_TRIES = 6  # O: AWS does not say; with the backoff, half a minute
DELIVERY_SECONDS = 30.0  # O: how long a destination may take over one record
