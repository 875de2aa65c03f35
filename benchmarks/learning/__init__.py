"""The benchmark of learning: data, models, measuring in a process of its own, results, and the page made of them."""
