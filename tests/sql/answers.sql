-- Queries in the words of polars and of DuckDB alike: the fields of the results are columns there. One a line.
SELECT label, count(*) AS n FROM results GROUP BY label ORDER BY n DESC, label
SELECT label, count(*) AS n, count(score), avg(score), min(score), max(score), sum(rank), stddev(score), median(score) FROM results GROUP BY label ORDER BY label
SELECT result ->> '$.label' AS l, count(*) FROM results GROUP BY l ORDER BY l
SELECT json_extract_string(result, '$.label') AS x FROM results ORDER BY url
SELECT status, count(*) FROM results GROUP BY status HAVING count(*) > 50
SELECT url FROM results WHERE label = 'espresso' AND score > 0.5 ORDER BY url LIMIT 5 OFFSET 3
SELECT DISTINCT label FROM results ORDER BY label
SELECT DISTINCT label, ok FROM results
SELECT CASE WHEN score > 1 THEN 'high' WHEN score > 0 THEN 'low' ELSE 'none' END AS c, count(*) FROM results GROUP BY c ORDER BY c
SELECT a.url, b.url AS other FROM results a JOIN results b ON a.n = b.rank ORDER BY a.url, other
SELECT a.url, b.label FROM results a LEFT JOIN results b ON a.n = b.rank AND b.label = 'moped' ORDER BY a.url, b.label LIMIT 50
SELECT count(*) FROM results a JOIN results b ON a.label = b.label
SELECT url, row_number() OVER (PARTITION BY label ORDER BY score DESC, url) AS r FROM results ORDER BY url
SELECT url, rank() OVER (ORDER BY score), dense_rank() OVER (ORDER BY score DESC) FROM results ORDER BY url
SELECT url, sum(score) OVER (PARTITION BY label ORDER BY url) FROM results ORDER BY url
SELECT url, sum(score) OVER (ORDER BY rank) FROM results ORDER BY url
SELECT url, avg(score) OVER (PARTITION BY label ORDER BY url ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM results ORDER BY url
SELECT url, lag(score) OVER (PARTITION BY label ORDER BY url), lead(score, 2) OVER (PARTITION BY label ORDER BY url) FROM results ORDER BY url
SELECT url, first_value(score) OVER (PARTITION BY label ORDER BY url), last_value(score) OVER (PARTITION BY label ORDER BY url) FROM results ORDER BY url
SELECT url, ntile(3) OVER (ORDER BY url), percent_rank() OVER (ORDER BY rank), cume_dist() OVER (ORDER BY rank) FROM results ORDER BY url
SELECT url, nth_value(score, 2) OVER (PARTITION BY label ORDER BY url) FROM results ORDER BY url
SELECT label, count(*) * 100.0 / sum(count(*)) OVER () AS share FROM results GROUP BY label ORDER BY label
SELECT url, label FROM results QUALIFY row_number() OVER (PARTITION BY label ORDER BY score DESC, url) = 1 ORDER BY url
SELECT sum(score) OVER w AS s FROM results WINDOW w AS (PARTITION BY label)
SELECT label AS x FROM results UNION SELECT k FROM results ORDER BY x
SELECT label AS x FROM results UNION ALL SELECT k FROM results ORDER BY x
SELECT label FROM results INTERSECT SELECT k FROM results
SELECT label FROM results EXCEPT SELECT 'moped'
WITH t AS (SELECT label, score FROM results WHERE ok), u AS (SELECT label, avg(score) AS s FROM t GROUP BY label) SELECT * FROM u ORDER BY label
SELECT * FROM (SELECT label, count(*) AS c FROM results GROUP BY label) AS s WHERE c > 50 ORDER BY label
SELECT url FROM results WHERE label IN ('moped', 'tripod') ORDER BY url
SELECT url FROM results WHERE label NOT IN ('moped', 'tripod') ORDER BY url
SELECT url FROM results WHERE n IN (SELECT rank FROM results) ORDER BY url
SELECT url FROM results WHERE n NOT IN (SELECT rank FROM results) ORDER BY url
SELECT url FROM results a WHERE EXISTS (SELECT 1 FROM results b WHERE b.rank = a.n) ORDER BY url
SELECT url FROM results a WHERE NOT EXISTS (SELECT 1 FROM results b WHERE b.rank = a.n) ORDER BY url
SELECT url FROM results a WHERE a.score = (SELECT max(b.score) FROM results b WHERE b.label = a.label) ORDER BY url
SELECT url FROM results WHERE score > (SELECT avg(score) FROM results) ORDER BY url
SELECT url, (SELECT count(*) FROM results) AS c FROM results ORDER BY url
SELECT url FROM results WHERE label LIKE '%spr%' ORDER BY url
SELECT url FROM results WHERE label ILIKE 'EGYP%' ORDER BY url
SELECT url FROM results WHERE label NOT LIKE '_oped' ORDER BY url
SELECT url FROM results WHERE score BETWEEN 0.25 AND 1 ORDER BY url
SELECT url FROM results WHERE n NOT BETWEEN 0 AND 100 ORDER BY url
SELECT url FROM results WHERE label IS NULL ORDER BY url
SELECT url FROM results WHERE label IS NOT NULL AND score IS NULL ORDER BY url
SELECT url FROM results WHERE label IS NOT DISTINCT FROM k ORDER BY url
SELECT url FROM results WHERE label IS DISTINCT FROM 'moped' ORDER BY url
SELECT url FROM results WHERE ok ORDER BY url
SELECT url FROM results WHERE NOT ok ORDER BY url
SELECT url FROM results WHERE ok IS TRUE ORDER BY url
SELECT url FROM results WHERE ok IS NOT TRUE ORDER BY url
SELECT url FROM results WHERE ok IS FALSE ORDER BY url
SELECT url FROM results WHERE ok IS NOT FALSE ORDER BY url
SELECT url FROM results WHERE (score > 0) IS NOT TRUE ORDER BY url
SELECT url FROM results WHERE ok = true OR n = 5 ORDER BY url
SELECT count(*), count(label), count(DISTINCT label), sum(DISTINCT rank), avg(DISTINCT rank) FROM results
SELECT sum(n), avg(n), min(n), max(n), count(n) FROM results WHERE n > 100000
SELECT k, sum(n) FROM results WHERE n IS NULL GROUP BY k ORDER BY k
SELECT label, sum(score) FROM results WHERE false GROUP BY label
SELECT count(*) FROM results WHERE false
SELECT url FROM results WHERE false
SELECT var_samp(score), variance(score), stddev_samp(score), corr(score, rank), covar_samp(score, rank), covar_pop(score, rank) FROM results
SELECT quantile_cont(score, 0.9), quantile_disc(score, 0.25), median(rank) FROM results
SELECT string_agg(label, '-' ORDER BY url) FROM results WHERE n < 0
SELECT string_agg(label, '-' ORDER BY score DESC, url) FROM results WHERE n < 0
SELECT label, array_agg(n ORDER BY n) FROM results GROUP BY label ORDER BY label
SELECT count(*) FILTER (WHERE ok), sum(score) FILTER (WHERE label = 'moped'), sum(score) FILTER (WHERE label = 'zz') FROM results
SELECT sum(CASE WHEN ok THEN 1 ELSE 0 END) FROM results
SELECT upper(label), lower(label), length(label), left(label, 3), right(label, 2), substr(label, 2, 3), substring(label, 3) FROM results ORDER BY url
SELECT trim('  a b '), ltrim('xxa', 'x'), rtrim('axx', 'x'), trim('x' FROM 'xax'), trim(both FROM ' a '), replace('banana', 'an', 'AN'), reverse('abé')
SELECT concat(label, '/', k), label || '/' || k, concat_ws('-', label, k, url) FROM results ORDER BY url
SELECT starts_with(url, 'http'), ends_with(url, 'jpg'), strpos(url, 'host'), position('host' IN url) FROM results ORDER BY url
SELECT lpad(k, 3, '*'), rpad(k, 3, '*'), split_part(url, '/', 3), split_part(url, '/', 9), char_length(k) FROM results ORDER BY url
SELECT round(score), round(score, 1), round(score * 10.25, 2), round(n), round(score, 0), round(n, -1) FROM results ORDER BY url
SELECT round(avg(score), 2), round(sum(score) / count(*), 3) FROM results
SELECT ln(rank + 1), log10(rank + 1), log2(rank + 1), log(rank + 1), log(2, rank + 1), cbrt(rank) FROM results ORDER BY url
SELECT sin(score), cos(score), tan(score), asin(score / 4), acos(score / 4), atan(score), atan2(score, 2), cot(score + 1), degrees(score), radians(score), pi() FROM results ORDER BY url
SELECT n / 7, n / 7.0, n * 1.5, score * 100, n + score, n - 1, -n, n * n FROM results ORDER BY url
SELECT rank / 0, score / 0 FROM results ORDER BY url
SELECT coalesce(label, 'none'), ifnull(score, -1), nullif(rank, 0), greatest(n, rank), least(n, rank), greatest(score, 0.5) FROM results ORDER BY url
SELECT CAST(n AS VARCHAR), CAST(size AS BIGINT), CAST(rank AS DOUBLE), CAST(size AS DOUBLE) / 3, TRY_CAST(label AS BIGINT), TRY_CAST(size AS INT) FROM results ORDER BY url
SELECT size::int + 1, n::text FROM results ORDER BY url
SELECT CAST(score AS VARCHAR), CAST(ok AS VARCHAR), CAST(ok AS INT) FROM results ORDER BY url
SELECT CAST(day AS DATE), date_part('year', CAST(day AS DATE)), EXTRACT(month FROM CAST(day AS DATE)), EXTRACT(dow FROM CAST(day AS DATE)) FROM results ORDER BY url
SELECT CAST(day AS DATE) + INTERVAL '1 month', CAST(day AS DATE) - INTERVAL '10 days' FROM results ORDER BY url
SELECT strftime(CAST(day AS DATE), '%Y/%m') AS m, strptime(day, '%Y-%m-%d') FROM results ORDER BY url
SELECT CAST('2024-03-03' AS DATE) > DATE '2024-01-01', CAST('2024-03-03 10:11:12' AS TIMESTAMP), CAST(DATE '2024-03-03' AS VARCHAR)
SELECT count(*) FROM results WHERE CAST(day AS DATE) >= DATE '2024-05-01'
SELECT label, ok, count(*) FROM results GROUP BY ROLLUP (label, ok) ORDER BY label, ok, count(*)
SELECT label, ok, count(*) FROM results GROUP BY CUBE (label, ok) ORDER BY label, ok, count(*)
SELECT label, ok, count(*) FROM results GROUP BY GROUPING SETS ((label), (ok)) ORDER BY label, ok, count(*)
SELECT label, count(*) FROM results GROUP BY ALL ORDER BY label
SELECT label, count(*) FROM results GROUP BY 1 ORDER BY 2 DESC, 1
SELECT label, score FROM results ORDER BY score DESC NULLS FIRST, label NULLS FIRST, url
SELECT label, score FROM results ORDER BY score DESC, label DESC, url LIMIT 20
SELECT n FROM results ORDER BY n * -1 LIMIT 10
SELECT upper(label) AS label, count(*) FROM results GROUP BY upper(label) ORDER BY label
SELECT upper(label) AS l, count(*) FROM results GROUP BY l ORDER BY l
SELECT label, count(*) AS c FROM results GROUP BY label HAVING c > 50 AND label IS NOT NULL ORDER BY c, label
SELECT label, avg(score) AS score FROM results GROUP BY label HAVING avg(score) > 0.1 ORDER BY score, label
SELECT max(score) - min(score) AS spread FROM results
SELECT count(*) FROM results a CROSS JOIN results b
SELECT count(*) FROM results a, results b WHERE a.n = b.rank
SELECT a.url FROM results a SEMI JOIN results b ON a.n = b.rank ORDER BY a.url
SELECT a.url FROM results a ANTI JOIN results b ON a.n = b.rank ORDER BY a.url
SELECT a.url, b.url AS o FROM results a FULL JOIN results b ON a.n = b.rank ORDER BY a.url, o
SELECT a.url, b.url AS o FROM results a RIGHT JOIN results b ON a.n = b.rank ORDER BY o, a.url
SELECT a.url, b.url AS o FROM results a JOIN results b ON a.n < b.rank AND b.n > 370 ORDER BY a.url, o
SELECT url, b.label FROM results a JOIN results b USING (url) ORDER BY url
SELECT a.label, count(*) FROM results a JOIN results b ON a.url = b.url WHERE b.ok GROUP BY a.label ORDER BY a.label
WITH c AS (SELECT label, count(*) AS c FROM results GROUP BY label) SELECT r.url, c.c FROM results r JOIN c ON r.label = c.label ORDER BY r.url
SELECT mixed, count(*) FROM results GROUP BY mixed ORDER BY mixed
SELECT url FROM results WHERE mixed = 'm1' ORDER BY url
SELECT url FROM results WHERE mixed = '1' ORDER BY url
SELECT url FROM results WHERE size = '7' ORDER BY url
SELECT url FROM results WHERE CAST(size AS INT) > 90 ORDER BY url
SELECT max(label), min(label), max(ok), min(day) FROM results
SELECT sum(ok), sum(rank) / count(*) FROM results
SELECT avg(rank), sum(rank) * 1.0 / count(*) FROM results
SELECT first(url), last(url) FROM results
SELECT label FROM results GROUP BY label ORDER BY count(*) DESC, label
SELECT label, score FROM results WHERE score = 0.5 OR score = 1 ORDER BY url
SELECT 1 AS one, 'x' AS t, NULL AS nothing, TRUE AS yes, 1.5 AS f, 1e3 AS e FROM results LIMIT 2
SELECT 7 / 2, 7 // 2, -7 // 2, 7 % 3, -7 % 3, 2.5 * 2, 0.1 + 0.2
SELECT CASE label WHEN 'moped' THEN 1 WHEN 'tripod' THEN 2 ELSE 3 END AS c, count(*) FROM results GROUP BY c ORDER BY c
SELECT rank = 1.0, rank = 1, score > 0, label < 'f', label >= 'moped' FROM results ORDER BY url
SELECT label, sum(sum(score)) OVER (ORDER BY label) FROM results GROUP BY label ORDER BY label
SELECT label, rank() OVER (ORDER BY count(*) DESC, label) FROM results GROUP BY label ORDER BY label
SELECT ok AND n > 0, ok OR n > 0, NOT (ok AND n > 0) FROM results ORDER BY url
SELECT count(*) FROM results WHERE url LIKE '%\_%'
SELECT n FROM results WHERE n > 100 UNION ALL SELECT rank FROM results WHERE ok UNION SELECT n FROM results ORDER BY n
SELECT k, label, count(*) FROM results GROUP BY k, label HAVING count(*) > 5 ORDER BY k, label
SELECT if(ok, 1, 0), if(score > 0, 'p', 'n') FROM results ORDER BY url
SELECT url, count(*) OVER (PARTITION BY label), count(score) OVER (PARTITION BY label), max(score) OVER (PARTITION BY label ORDER BY url) FROM results ORDER BY url
SELECT url, sum(n) OVER (ORDER BY url ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM results ORDER BY url
SELECT url, sum(n) OVER (ORDER BY rank RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM results ORDER BY url
SELECT avg(duration), max(duration), sum(attempts) FROM results WHERE status = 'succeeded'
SELECT status_code, count(*) FROM results WHERE status_code >= 400 GROUP BY status_code
SELECT url FROM results WHERE result IS NULL ORDER BY url
SELECT length(result) FROM results ORDER BY url
SELECT ok = 1 FROM results
SELECT substr('hello', 0, 2), substr('hello', 2), left('hello', -2), right('hello', -1)
SELECT pow(2, -1), pow(rank, -1), 2 * pow(3, 2) FROM results ORDER BY url
SELECT ln(-1), ln(0), sqrt(-1), log10(0)
SELECT split_part('a,b', ',', 0), split_part('a,b', ',', -1)
SELECT lead(score, 1, 0) OVER (ORDER BY url) FROM results
SELECT rank() OVER (PARTITION BY ok ORDER BY score DESC NULLS FIRST) FROM results
SELECT avg(CAST(size AS DOUBLE)) FROM results
SELECT count(DISTINCT (label)) FROM results
SELECT label, last(score) FROM results GROUP BY label ORDER BY label
SELECT concat('a', 1, 2.5, true)
SELECT 'a' || 1 || 2.5
SELECT date_part('week', DATE '2024-12-30'), date_part('doy', DATE '2024-12-30'), date_part('quarter', DATE '2024-12-30'), date_part('isodow', DATE '2024-12-29')
SELECT date_part('hour', TIMESTAMP '2024-12-30 10:11:12'), date_part('epoch', TIMESTAMP '2024-12-30 10:11:12'), date_part('second', TIMESTAMP '2024-12-30 10:11:12.5')
SELECT TIMESTAMP '2024-12-30 10:11:12' - TIMESTAMP '2024-12-29 10:11:11'
SELECT array_agg(label) FROM results WHERE n = 5
SELECT quantile_cont(rank, 0.5), quantile_disc(rank, 0.5), quantile_cont(score, 0.33) FROM results
SELECT corr(n, rank), covar_samp(n, rank) FROM results
SELECT trim('  a b '), trim('x' FROM 'xax'), trim(both FROM ' a '), trim(leading 'x' FROM 'xax')
SELECT pow(2, -1), pow(rank, -1), 2 * pow(3, 2), pow(10, 30) FROM results ORDER BY url
SELECT round(1), round(2.5), round(2.675, 2), round(-2.5)
SELECT label AS l FROM results ORDER BY l, score DESC, url
SELECT count(DISTINCT label) AS c, k FROM results GROUP BY k ORDER BY k
SELECT a.label AS x, b.label AS y FROM results a JOIN results b ON a.url = b.url ORDER BY a.url
SELECT a.url, count(*) AS c FROM results a JOIN results b ON a.label = b.label AND b.score > 1 GROUP BY a.url ORDER BY c DESC, a.url
SELECT url FROM results WHERE url = (SELECT max(url) FROM results WHERE label = 'moped')
WITH t AS (SELECT label AS l, score FROM results), u AS (SELECT l FROM t WHERE score > 1) SELECT l, count(*) FROM u GROUP BY l ORDER BY l
SELECT x.c FROM (SELECT count(*) AS c FROM results WHERE label = 'tripod') x
SELECT count(*) FROM (SELECT label FROM results UNION SELECT k FROM results) x
SELECT results.label FROM results ORDER BY results.score DESC, results.url
SELECT label FROM results WHERE label = 'a' OR label = 'moped' AND NOT (score > 0 OR score < -1) ORDER BY url
SELECT url FROM results WHERE n NOT IN (SELECT rank FROM results WHERE rank IS NOT NULL) ORDER BY url
SELECT (SELECT max(n) FROM results), (SELECT count(*) FROM results WHERE k = 'a')
