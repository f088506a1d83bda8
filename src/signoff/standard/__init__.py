"""The team's standard: text comes in, a `Standard` with resolved rules per use case goes out."""
