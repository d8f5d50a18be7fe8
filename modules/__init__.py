"""Think: DSPy signatures and programs; nothing inside but the model that they are given."""
