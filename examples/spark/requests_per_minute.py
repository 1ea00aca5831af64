"""Requests per minute from the Parquet export of a `files` or `s3` sink: the sums of the store's rollup, by Spark.

    spark-submit requests_per_minute.py EXPORT TARGET

EXPORT is the directory of the sink (or `s3a://bucket/prefix`), TARGET a directory that is made or replaced. The result
has the columns of `requests_per_minute` in docs/guide/sinks.md that are sums.
"""

from __future__ import annotations

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812  as every Spark program calls it

TEXTS = ("ZoneName", "ClientRequestHost", "SecurityAction", "ClientRequestMethod", "EdgeColoCode")
NUMBERS = ("EdgeResponseStatus", "ClientRequestBytes", "EdgeResponseBytes")


def main(export: str, target: str) -> None:
    """Reads the export, sums and writes."""
    spark = (
        SparkSession.builder.appName("requests_per_minute")
        # Parquet's nanoseconds are more than Spark's timestamps can say: they are read as the numbers that they are.
        .config("spark.sql.legacy.parquet.nanosAsLong", "true")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    # Files of another release may have other columns. What a request does not have is null.
    rows = spark.read.option("mergeSchema", "true").parquet(f"{export}/http_requests")
    rows = rows.fillna("", subset=list(TEXTS)).fillna(0, subset=list(NUMBERS))
    minute = F.timestamp_seconds(F.expr("EdgeStartTimestamp div 60000000000") * 60)
    weight = F.col("SampleInterval").cast("bigint")
    sums = rows.groupBy(minute.alias("Minute"), *TEXTS, "EdgeResponseStatus").agg(
        F.sum(weight).alias("Requests"),
        F.sum(F.col("ClientRequestBytes").cast("bigint") * weight).alias("ClientRequestBytes"),
        F.sum(F.col("EdgeResponseBytes").cast("bigint") * weight).alias("EdgeResponseBytes"),
    )
    sums.write.mode("overwrite").parquet(target)
    spark.stop()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: requests_per_minute.py EXPORT TARGET")
    main(*sys.argv[1:])
