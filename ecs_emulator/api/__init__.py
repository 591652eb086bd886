"""The operations that are performed, one module a service of AWS; ECS has a room of its own."""
