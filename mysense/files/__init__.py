"""What the outputs to files and to the terminal share: durable writing, tables, texts."""
