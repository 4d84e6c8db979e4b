(section . (atx_heading heading_content: (_) @name)) @heading
(setext_heading heading_content: (_) @name) @heading
(link_reference_definition (link_label) @name) @link
;; uses
[(inline) (language)] @use
