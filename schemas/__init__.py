"""The words that both programs speak: values and documents, no I/O."""
