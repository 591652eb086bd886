"""Before anything is touched: what is read, tried, selected and refused."""
