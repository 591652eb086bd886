"""Who may call: identities, permissions, rate limits."""
