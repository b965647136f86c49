"""Mixed traffic against a served application while its issuers and its Redis fail.

    python -m benchmarks.soak --minutes 10

Every answer is compared with what `oracle` says is right at that moment. Needs what the tests
need, and runs from the root of the repository. Exits with 1 where anything was wrong.
"""
