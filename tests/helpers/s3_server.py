"""An S3 server on loopback, in a thread of this process."""

import contextlib
import logging

import boto3
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem


@contextlib.contextmanager
def s3_server():
    """Serve one bucket; meanwhile the environment says where it is found."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it tells of every request
    serving = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    serving.start()
    host, port = serving.get_host_and_port()
    found = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="bucket")
        # s3fs keeps what it connected before, in this process, to a server that is no more
        S3FileSystem.clear_instance_cache()
        yield
    S3FileSystem.clear_instance_cache()
    serving.stop()
