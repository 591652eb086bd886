"""What happens to a service: mishaps, other people, deployments, load balancers, failing calls."""
