"""What is told of a run: failure messages, the terminal summary, report.json."""
