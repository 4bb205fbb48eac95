"""Score a table on Apache Spark: rows with `question` and `answer` get a column `score`, a logit.

PYSPARK_PYTHON=python python examples/spark_score.py rows.jsonl scored.parquet --master "local[2]"

On a cluster: spark-submit examples/spark_score.py IN OUT. Each node needs prefmodel and, if one is named, the bundle. A
row that cannot be scored stops it; `prefmodel score` puts such rows into a file of their own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cache, partial
from typing import TYPE_CHECKING

from prefmodel import PreferenceModel

if TYPE_CHECKING:
    import pandas as pd

load = cache(PreferenceModel.from_pretrained)  # once in each Python worker


def score_partition(frames: Iterator[pd.DataFrame], bundle: str | None = None) -> Iterator[pd.DataFrame]:
    """Yield the frames of a partition with their scores. Spark runs as many workers as there are cores: one thread."""
    model = load(bundle, threads=1)
    for frame in frames:
        yield frame.assign(score=model.score(frame["question"].tolist(), frame["answer"].tolist()))


def main() -> None:
    from pyspark.sql import SparkSession
    from pyspark.sql.types import FloatType, StructField, StructType

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help="JSON lines")
    parser.add_argument("output", help="folder for Parquet files")
    parser.add_argument("--bundle", help="folder, or owner/name on the Hub; by default the model of the package")
    parser.add_argument("--master", help="such as local[2]; by default that of spark-submit")
    options = parser.parse_args()

    builder = SparkSession.builder.appName("prefmodel")
    spark = (builder.master(options.master) if options.master else builder).getOrCreate()
    spark.sparkContext.addPyFile(__file__)
    rows = spark.read.json(options.input)
    schema = StructType([*rows.schema, StructField("score", FloatType())])
    rows.mapInPandas(partial(score_partition, bundle=options.bundle), schema).write.parquet(options.output)
    spark.stop()


if __name__ == "__main__":
    import spark_score  # under this name Spark's workers import it, and keep the model from one partition to the next

    spark_score.main()
