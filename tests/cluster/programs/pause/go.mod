module maskrcnn/tests/cluster/programs/pause

go 1.26
