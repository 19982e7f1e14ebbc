// RedisBackend
