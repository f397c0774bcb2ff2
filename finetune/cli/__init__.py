"""The program `finetune`: `program` has its command line, `commands` and `upload` what its commands do."""
