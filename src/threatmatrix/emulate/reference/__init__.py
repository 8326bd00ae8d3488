"""The reference target: handwritten digits, a public base model, a product, honest clients."""
