"""The training image on SageMaker: what its program ``train`` does.

SageMaker starts ``train`` in one container on each host, tells it about the job in files under /opt/ml, and
takes the model, the checkpoints and the reason for a failure from there. Imports no TensorFlow.
"""
