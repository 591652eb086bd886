"""Replace the tasks of an Amazon ECS service one at a time, never with fewer of them in service."""
