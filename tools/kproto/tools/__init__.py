"""The tools that let a person see the protocol: they import every layer and own no protocol fact."""
