"""The client for people: it invokes the deployed function, and follows the run."""
