"""Random applications and requests, and who says what ran there.

python -m tests.fuzz --requests 1000000
"""
