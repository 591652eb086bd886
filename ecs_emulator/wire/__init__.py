"""From a request's bytes to an answer's: in process, over HTTP, by the agent's endpoint."""
