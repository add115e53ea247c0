"""The recipe of Attune's embedded model "storybook": scenes, tokenizer, trainers, export."""
