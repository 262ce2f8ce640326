"""BERT as an encoder of texts, pretrained or blank."""
