"""Microsoft's own trainer on our files: `make conformance`.

Runs the public packages of the training component, azureml-acft-contrib-hf-nlp and what it needs, on the
CPU, in an environment of its own. Records what their preprocessing keeps of each file; tests hold validation
and the emulated trainer to the record.
"""
