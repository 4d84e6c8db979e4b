(pair key: (string (string_content) @name)) @key
;; uses
(string_content) @use
