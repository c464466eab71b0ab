"""The peer: Scrapy following every link of one host, 64 requests at once, robots.txt ignored.

It saves no images and extracts none: only pages a second are compared.
"""

import os
from datetime import datetime, timezone
from urllib.parse import urlsplit

from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, Rule


class Pages(CrawlSpider):
    name = "pages"
    start_urls = [os.environ["BENCH_URL"]]
    # A host without its port: the port of the site is the only one that answers.
    allowed_domains = [urlsplit(os.environ["BENCH_URL"]).hostname]
    rules = (Rule(LinkExtractor(tags=("a", "area", "frame", "iframe"), attrs=("href", "src")), follow=True),)
    custom_settings = {
        "ROBOTSTXT_OBEY": False,
        "CONCURRENT_REQUESTS": 64,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 64,
        "DOWNLOAD_DELAY": 0,
        "AUTOTHROTTLE_ENABLED": False,
        "COOKIES_ENABLED": False,
        "RETRY_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
        # Breadth first, as spinneret goes: depth first meets the largest pages early.
        "DEPTH_PRIORITY": 1,
        "SCHEDULER_DISK_QUEUE": "scrapy.squeues.PickleFifoDiskQueue",
        "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
        "LOG_LEVEL": "ERROR",
    }

    def closed(self, reason):
        stats = self.crawler.stats
        pages = stats.get_value("response_received_count", 0)
        elapsed = (datetime.now(timezone.utc) - stats.get_value("start_time")).total_seconds()
        print(f"BENCH {pages} {elapsed}", flush=True)
