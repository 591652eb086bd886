"""Amazon ECS's operations, and how services and tasks look to those who ask."""
