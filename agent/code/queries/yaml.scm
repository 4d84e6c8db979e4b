(block_mapping_pair key: (_) @name) @key
(flow_mapping (_ key: (_) @name) @key)
(anchor (anchor_name) @name) @anchor
;; uses
[(alias_name) (plain_scalar) (double_quote_scalar) (single_quote_scalar)] @use
