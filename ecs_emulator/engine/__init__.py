"""The rules: how tasks come and go, who starts and stops them, who moves the desired count."""
