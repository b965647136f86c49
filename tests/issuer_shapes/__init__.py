"""The rows of docs/your-issuer.md: settings for issuers, and tokens in the shape of each."""
