"""Run the programs of the containers on this machine, with the files that SageMaker gives them."""
