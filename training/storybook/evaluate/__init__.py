"""Does a picture show what its prompt says? An evaluator trained on scenes alone, held-out prompts, and scores."""
