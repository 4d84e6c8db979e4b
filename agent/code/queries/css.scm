(rule_set (selectors) @name) @rule
(declaration (property_name) @name (#match? @name "^--")) @variable
(keyframes_statement (keyframes_name) @name) @keyframes
(media_statement [(keyword_query) (feature_query) (binary_query) (unary_query) (selector_query) (parenthesized_query)] @name) @media
;; uses
[(class_name) (id_name) (plain_value) (keyframes_name)] @use
